import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { Capabilities, HostInfo } from '../../electron/contract'
import { toShape } from '../api/client-workbench'
import { connectWorkbench } from '../api/connect'
import { provideWorkbench, workbench, type ConnectionState } from '../api/workbench'
import { useHostState } from './use-state'

const noCapabilities: Capabilities = { pickFile: false, dropPath: false, reveal: false, browse: false, windowControls: false, platform: '' }

// Opens the one connection of this window; called before anything else is mounted.
export function openWorkbench(): void { provideWorkbench(connectWorkbench()) }

export const useConnectionStore = defineStore('connection', () => {
  const state = shallowRef<ConnectionState>({ kind: 'connecting' })
  const everOnline = ref(false)
  const restored = ref(false)
  const host = shallowRef<HostInfo>()
  const capabilities = shallowRef<Capabilities>(noCapabilities)
  const notices = useHostState('notices')
  // Connected, but only to a stand-in: the host failed too often and waits to be started.
  const hostless = ref(false)
  const desktop = computed(() => host.value?.hostKind === 'electron' || capabilities.value.dropPath)

  async function greet(): Promise<void> {
    const [info, caps] = await Promise.allSettled([workbench().call('host.info', {}), workbench().shell('shell.capabilities', {})])
    hostless.value = info.status === 'rejected' && toShape(info.reason).code === 'E_HOST_LOST' && state.value.kind === 'online'
    if (info.status === 'fulfilled') host.value = info.value
    if (caps.status === 'fulfilled') capabilities.value = caps.value
  }

  workbench().onConnection(next => {
    const lostBefore = state.value.kind === 'lost'
    state.value = next
    if (next.kind !== 'online') return
    restored.value = lostBefore && everOnline.value
    everOnline.value = true
    void greet()
  })

  return {
    state, everOnline, restored, hostless, host, capabilities, notices, desktop,
    restartHost: () => workbench().call('host.restart', {}),
    dismissNotices: () => workbench().call('notices.dismiss', {}),
    openExternal: (url: string) => workbench().shell('shell.openExternal', { url }),
    reveal: (path: string) => workbench().shell('shell.reveal', { path }),
    acknowledge: () => { restored.value = false },
  }
})
