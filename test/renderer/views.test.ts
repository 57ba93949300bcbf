import { flushPromises } from '@vue/test-utils'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { WorkbenchError } from '../../electron/contract'
import ChatView from '../../renderer/features/chat/ChatView.vue'
import ModelsView from '../../renderer/features/models/ModelsView.vue'
import ServerView from '../../renderer/features/server/ServerView.vue'
import SettingsView from '../../renderer/features/settings/SettingsView.vue'
import HostBanner from '../../renderer/frame/HostBanner.vue'
import ImportDialogs from '../../renderer/frame/ImportDialogs.vue'
import SplashScreen from '../../renderer/frame/SplashScreen.vue'
import StatusBar from '../../renderer/frame/StatusBar.vue'
import { useImportStore } from '../../renderer/stores/importing'
import { useNotificationStore } from '../../renderer/stores/notifications'
import type { FakeWorkbench } from './fake-workbench'
import { broken, calibrationStatus, conversation, demo, stats } from './sample-data'
import { buttonNamed, mountInWindow, startFake, type Mounted } from './support'

let fake: FakeWorkbench
let mounted: Mounted | undefined
beforeEach(() => { fake = startFake() })
afterEach(() => { mounted?.wrapper.unmount(); document.body.innerHTML = '' })
const text = (): string => document.body.textContent

it('sends a message: loads the model, shows the answer, offers stop and then regenerate', async () => {
  mounted = await mountInWindow(ChatView, { path: '/chat/new' })
  expect(text()).toContain('tiny demonstration')
  const area = mounted.wrapper.get('textarea')
  await area.setValue('What is 12 * 3?')
  await area.trigger('keydown', { key: 'Enter' })
  await flushPromises()
  expect(fake.calls.map(({ method }) => method).filter(method => /^(models|chat)/.test(method))).toEqual(['models.load', 'chat.send'])
  expect(area.element.value).toBe('')
  const answer = [...fake.conversations.values()][0]!.messages[1]!
  expect(mounted.router.currentRoute.value.path).toBe(`/chat/${answer.conversationId}`)
  buttonNamed('Stop').click()
  await flushPromises()
  expect(fake.calls.at(-1)?.method).toBe('chat.stop')
  fake.emit({ type: 'end', message: { ...answer, state: 'complete', content: '36', stats: { ...stats, stopReason: 'cancelled' } } })
  await flushPromises()
  expect(buttonNamed('Send')).toBeTruthy()
})

it('keeps the message in the composer when the model cannot be loaded, with cause and a way on', async () => {
  fake.on('models.load', ({ force }: { force?: boolean }) => {
    if (!force) throw new WorkbenchError('E_MEMORY', 'It needs 381 GiB.')
    return { instanceId: 'x' }
  })
  mounted = await mountInWindow(ChatView, { path: '/chat/new' })
  const area = mounted.wrapper.get('textarea')
  await area.setValue('Hello')
  await area.trigger('keydown', { key: 'Enter' })
  await flushPromises()
  expect(area.element.value).toBe('Hello')
  expect(text()).toContain('It needs 381 GiB.')
  buttonNamed('Load anyway').click()
  await flushPromises()
  expect(fake.calls.some(({ method, params }) => method === 'models.load' && (params as { force?: boolean }).force === true)).toBe(true)
  expect(fake.calls.at(-1)?.method).not.toBe('models.load')
})

it('streams the experts of a model that does not fit, with the memory suggested', async () => {
  fake.on('models.load', ({ expertMemory }: { expertMemory?: number }) => {
    if (!expertMemory) throw new WorkbenchError('E_MEMORY', 'It needs 381 GiB.', { detail: { suggestedExpertMemory: 12 * 2 ** 30 } })
    return { instanceId: 'x' }
  })
  mounted = await mountInWindow(ChatView, { path: '/chat/new' })
  const area = mounted.wrapper.get('textarea')
  await area.setValue('Hello')
  await area.trigger('keydown', { key: 'Enter' })
  await flushPromises()
  buttonNamed('Stream with 12 GiB').click()
  await flushPromises()
  expect(fake.calls.filter(({ method }) => method === 'models.load').at(-1)?.params).toMatchObject({ expertMemory: 12 * 2 ** 30 })
  expect(fake.calls.some(({ method }) => method === 'chat.send')).toBe(true)
})

it('plans streamed experts before loading, and keeps the choice', async () => {
  fake.on('models.estimate', ({ seqLen, expertMemory = 0 }: { seqLen: number, expertMemory?: number }) => ({
    ...demo.estimate, seqLen, experts: { ...demo.estimate?.experts, memoryBytes: expertMemory, slotsPerLayer: expertMemory > 0 ? 4 : 0 },
  }))
  mounted = await mountInWindow(ModelsView, { path: `/models/${demo.id}` })
  await flushPromises()
  expect(text()).not.toContain('Memory for experts')
  const choice = mounted.wrapper.get('[role="switch"][aria-label="Stream experts from the disk"]')
  await choice.trigger('click')
  await flushPromises()
  expect(text()).toContain('Holds 4 of 32 experts in each layer. At least 1.14 MiB.')
  expect(text()).toContain('Resident weights')
  await vi.waitFor(() => expect(fake.calls.at(-1)).toEqual({ method: 'settings.update', params: { patch: { expertMemory: { [demo.id]: 2 * 2 ** 20 } } } }))
  await choice.trigger('click')
  await vi.waitFor(() => expect(fake.calls.at(-1)).toEqual({ method: 'settings.update', params: { patch: { expertMemory: {} } } }))
})

it('does not send while an input method is composing', async () => {
  mounted = await mountInWindow(ChatView, { path: '/chat/new' })
  const area = mounted.wrapper.get('textarea')
  await area.setValue('你好')
  await area.trigger('keydown', { key: 'Enter', isComposing: true })
  await flushPromises()
  expect(fake.calls.some(({ method }) => method === 'chat.send')).toBe(false)
})

it('opens the latest conversation when none is named', async () => {
  fake.conversations.set('old', conversation({ id: 'old', updatedAt: 5 }))
  fake.conversations.set('latest', conversation({ id: 'latest', updatedAt: 9 }))
  fake.set('conversations', [...fake.conversations.values()])
  mounted = await mountInWindow(ChatView, { path: '/chat' })
  await vi.waitFor(() => { expect(mounted?.router.currentRoute.value.path).toBe('/chat/latest') })
  await flushPromises()
  expect(fake.calls.filter(({ method }) => method === 'conversations.get').map(({ params }) => params)).toEqual([{ conversationId: 'latest' }])
})

it('deletes a conversation, and brings it back with undo', async () => {
  fake.conversations.set('c1', conversation())
  fake.set('conversations', [...fake.conversations.values()])
  mounted = await mountInWindow(ChatView, { path: '/chat/c1' })
  await vi.waitFor(() => { expect(text()).toContain('How does a router choose?') })
  buttonNamed('Actions for “How does a router choose?”').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))
  await vi.waitFor(() => { buttonNamed('Delete').click() })
  await vi.waitFor(() => { expect(mounted?.router.currentRoute.value.path).toBe('/chat/new') })
  expect(fake.conversations.has('c1')).toBe(false)
  const [notification] = useNotificationStore().items
  expect(notification?.text).toBe('“How does a router choose?” was deleted.')
  notification?.action?.run()
  await vi.waitFor(() => { expect(mounted?.router.currentRoute.value.path).toBe('/chat/c1') })
  expect(fake.conversations.has('c1')).toBe(true)
})

it('shows what is in a model, and says that the demonstration is one', async () => {
  mounted = await mountInWindow(ModelsView, { path: `/models/${demo.id}` })
  for (const piece of ['Moebius Demo 6M', 'A tiny demonstration', 'often wrong', '4 of 32', '16.01', 'gpt2 / gpt-2', 'it fits', 'kv_lora_rank', 'the shape of a tensor']) expect(text()).toContain(piece)
})

it('shows where a damaged file is damaged', async () => {
  mounted = await mountInWindow(ModelsView, { path: `/models/${broken.id}` })
  expect(text()).toContain('ends at byte 9123456')
  expect(text()).toContain('Download the file again.')
  mounted.wrapper.unmount()
  mounted = await mountInWindow(ImportDialogs)
  fake.on('models.import', () => ({ imported: [], problems: [{ path: '/models/broken.gguf', error: broken.problem }] }))
  await useImportStore().importPaths(['/models/broken.gguf'])
  await flushPromises()
  expect(text()).toContain('At byte 9,123,456')
})

it('shows a new access token once', async () => {
  mounted = await mountInWindow(ServerView, { path: '/server' })
  await mounted.wrapper.get('.create input').setValue('editor')
  buttonNamed('Create a token').click()
  await flushPromises()
  expect(text()).toContain('mb-3f6a0c9d1e5b47a2a8c4d7e9f0123456')
  buttonNamed('I have copied it').click()
  await flushPromises()
  expect(text()).not.toContain('mb-3f6a0c9d1e5b47a2a8c4d7e9f0123456')
})

it('switches the server and shows why it did not start', async () => {
  mounted = await mountInWindow(ServerView, { path: '/server' })
  await mounted.wrapper.get('[role="switch"]').trigger('click')
  await flushPromises()
  expect(text()).toContain('http://127.0.0.1:7117')
  fake.on('server.stop', () => { throw new WorkbenchError('E_CONFLICT', 'Port 7117 is taken by "other".') })
  await mounted.wrapper.get('[role="switch"]').trigger('click')
  await flushPromises()
  expect(text()).toContain('Port 7117 is taken by "other".')
})

it('changes settings at the host and says why GPUs are unavailable', async () => {
  mounted = await mountInWindow(SettingsView, { path: '/settings' })
  buttonNamed('Dark').click()
  await flushPromises()
  expect(fake.calls.at(-1)).toEqual({ method: 'settings.update', params: { patch: { theme: 'dark' } } })
  expect(text()).toContain('no NVIDIA driver is installed')
  expect(text()).toContain('Metal exists on macOS only.')
})

it('offers approximate prompt attention only where the processor has it and activations are not exact', async () => {
  const toggle = (): Element | null => document.querySelector('[role="switch"][aria-label="Approximate prompt attention (bfloat16)"]')
  mounted = await mountInWindow(SettingsView, { path: '/settings' })
  ;(toggle() as HTMLElement).click()
  await flushPromises()
  expect(fake.calls.at(-1)).toEqual({ method: 'settings.update', params: { patch: { bf16Attention: true } } })
  fake.set('settings', { exact: true })
  await flushPromises()
  expect(toggle()?.hasAttribute('disabled')).toBe(true)
})

it('shows what the machine can do at most, and measures it again', async () => {
  mounted = await mountInWindow(SettingsView, { path: '/settings' })
  expect(fake.calls).toContainEqual({ method: 'engine.calibrate', params: { again: false } })
  expect(text()).toMatch(/Memory read\s*23\.4\s*GB\/s/)
  expect(text()).toMatch(/Int8 dot products\s*920\s*GOP\/s/)
  expect(text()).not.toContain('BFloat16')
  expect(text()).toContain('AMD EPYC · avx512 · 2 threads')
  expect(text()).toContain('from 5 to 48 columns, depending on the format')
  expect(text()).toContain('from about 76 prompt tokens behind 4,096')
  expect(text()).not.toContain('IQ2_XXS')
  buttonNamed('By format').click()
  await flushPromises()
  const rows = mounted.wrapper.findAll('.thresholds tbody tr').map(row => row.findAll('th, td').map(cell => cell.text()))
  expect(rows).toEqual([['5', 'IQ2_XXS'], ['10', 'Q4_K'], ['16', 'F32, Q6_K'], ['24', 'Q8_0'], ['48', 'F16, BF16']])
  expect(text()).toContain('takes 1.85 times as long')
  buttonNamed('Measure again').click()
  await flushPromises()
  expect(fake.calls.at(-1)).toEqual({ method: 'engine.calibrate', params: { again: true } })
  fake.set('engine.calibration', { phase: 'waiting' })
  await flushPromises()
  expect(text()).toContain('Waiting for the running answers to end')
  fake.set('engine.calibration', { phase: 'measuring', progress: 0.4 })
  await flushPromises()
  expect(mounted.wrapper.get('[role="progressbar"]').attributes('aria-valuenow')).toBe('40')
  fake.set('engine.calibration', { phase: 'idle' })
  fake.on('engine.calibrate', () => { throw new WorkbenchError('E_MEMORY', 'measuring needs 128 MiB of free memory') })
  await flushPromises()
  buttonNamed('Measure again').click()
  await flushPromises()
  expect(text()).toContain('measuring needs 128 MiB of free memory')
})

it('shows the limits of machines that were measured before there were thresholds', async () => {
  const { thresholds, ...older } = calibrationStatus.calibration!
  expect(thresholds).toBeDefined()
  fake.set('engine.calibration', { phase: 'idle', progress: 0, calibration: older })
  mounted = await mountInWindow(SettingsView, { path: '/settings' })
  expect(text()).toMatch(/Memory read\s*23\.4\s*GB\/s/)
  expect(mounted.wrapper.find('.thresholds').exists()).toBe(false)
  // Alike for all formats, and keys that are never expanded.
  fake.set('engine.calibration', { calibration: { ...older, thresholds: { tileColumns: { Q4_K: 1, F16: 1 }, mlaAbsorbedCost: 0.25, mlaExpandsFrom: 0, mlaHistory: 4096 } } })
  await flushPromises()
  expect(text()).toContain('from 1 column')
  expect(text()).toContain('never behind 4,096 tokens')
})

it('tells a lost connection, its return, and why the host ended', async () => {
  mounted = await mountInWindow(HostBanner)
  fake.connection({ kind: 'lost', reason: 'closed (1006)' })
  await flushPromises()
  expect(text()).toContain('The connection to the host is lost')
  fake.connection({ kind: 'online' })
  await flushPromises()
  expect(text()).not.toContain('is lost')
  expect(useNotificationStore().items.map(item => item.text)).toEqual(['The connection to the host is back.'])
  fake.set('notices', [{ cause: 'Out of memory.', advice: 'Choose a smaller model.', at: 1, log: ['peak 22 GiB'] }])
  await flushPromises()
  expect(text()).toContain('Choose a smaller model.')
  buttonNamed('Show the log').click()
  await flushPromises()
  expect(text()).toContain('peak 22 GiB')
  buttonNamed('Dismiss').click()
  await flushPromises()
  expect(text()).not.toContain('Out of memory.')
})

it('has one clear screen for versions that do not fit', async () => {
  mounted = await mountInWindow(SplashScreen)
  fake.connection({ kind: 'mismatch' })
  await flushPromises()
  expect(text()).toContain('Window and host are of different versions')
  expect(buttonNamed('Reload the window')).toBeTruthy()
})

it('sums the machine up in the status bar', async () => {
  mounted = await mountInWindow(StatusBar)
  expect(text()).toContain('No model loaded')
  fake.set('engine.status', { tokensPerSecond: 221.4, loaded: [{ modelId: demo.id, instanceId: 'i', state: 'loading', progress: 0.42, maxSeqLen: 512, cacheFormat: 'f16', threads: 2, backend: 'cpu', bf16Attention: false, weightsBytes: 1, loadMs: 0 }] })
  await flushPromises()
  for (const piece of ['Loading Moebius Demo 6M, 42%', 'AMD EPYC 9B14 · avx512-vnni', '17.7 GiB of 23.3 GiB free', '221 tok/s', 'Server off']) expect(text()).toContain(piece)
})

it('says how far reading a model is, how fast, and when it is not read in', async () => {
  const loaded = { modelId: demo.id, instanceId: 'i', maxSeqLen: 512, cacheFormat: 'f16', threads: 2, backend: 'cpu', bf16Attention: false, weightsBytes: 1, loadMs: 500 }
  mounted = await mountInWindow(ModelsView, { path: `/models/${demo.id}` })
  fake.set('engine.status', { loaded: [{ ...loaded, state: 'loading', progress: 0.42, touching: { bytesDone: 1.1e9, bytesTotal: 2.6e9, bytesPerSecond: 8.5e8 } }] })
  await flushPromises()
  expect(text()).toContain('1.1 GB of 2.6 GB, 850 MB/s')
  fake.set('engine.status', { loaded: [{ ...loaded, state: 'ready', progress: 1, touchSkipped: 'memory' }] })
  await flushPromises()
  expect(text()).toContain('read when they are used')
})

it('offers to start a host that failed too often, before anything else is known', async () => {
  fake.on('host.info', () => { throw new WorkbenchError('E_HOST_LOST', 'There is no host.') })
  fake.on('host.restart', () => ({}))
  fake.set('notices', [{ cause: 'It ended three times.', advice: 'Start without models.', at: 1, log: [] }])
  mounted = await mountInWindow(SplashScreen)
  await flushPromises()
  expect(text()).toContain('It ended three times.')
  buttonNamed('Start the host').click()
  await flushPromises()
  expect(fake.calls.at(-1)?.method).toBe('host.restart')
})

it('keeps what is being written in each chat', async () => {
  fake.conversations.set('c1', conversation())
  fake.conversations.set('c2', conversation({ id: 'c2', title: 'Other' }))
  fake.set('conversations', [...fake.conversations.values()])
  mounted = await mountInWindow(ChatView, { path: '/chat/c1' })
  const area = mounted.wrapper.get('textarea')
  await area.setValue('half a thought')
  await mounted.router.push('/chat/c2')
  await vi.waitFor(() => { expect(area.element.value).toBe('') })
  await mounted.router.push('/chat/c1')
  await vi.waitFor(() => { expect(area.element.value).toBe('half a thought') })
})

it('sends once, however often Enter is pressed while the model loads', async () => {
  let ready = (): void => {}
  fake.on('models.load', () => new Promise(resolve => { ready = () => { resolve({ instanceId: 'i' }) } }))
  mounted = await mountInWindow(ChatView, { path: '/chat/new' })
  const area = mounted.wrapper.get('textarea')
  await area.setValue('Hello')
  for (let i = 0; i < 3; i++) await area.trigger('keydown', { key: 'Enter' })
  await flushPromises()
  ready()
  await flushPromises()
  expect(fake.calls.filter(({ method }) => method === 'models.load').length).toBe(1)
  expect(fake.calls.filter(({ method }) => method === 'chat.send').length).toBe(1)
})
