// The workbench over two rpc clients: one to the host, one to the shell around the window.
import type { Contract, ShellContract, WorkbenchErrorShape } from '../../electron/contract'
import { WorkbenchError } from '../../electron/contract'
import type { Client, ConnectionStatus } from '../../electron/contract/rpc'
import type { ConnectionState, StreamHandlers, Workbench } from './workbench'

export function toShape(error: unknown): WorkbenchErrorShape {
  if (error instanceof WorkbenchError) return error.toShape()
  return { code: 'E_INTERNAL', message: error instanceof Error ? error.message : String(error), hint: '', retryable: false }
}

export function clientWorkbench(host: Client<Contract>, shell: Client<ShellContract>, pathForFile: (file: File) => string | undefined): Workbench {
  return {
    call: (method, params, signal) => host.call(method, params, signal && { signal }),
    shell: (method, params) => shell.call(method, params),
    open: (method, params, handlers) => {
      const stream = host.open(method, params)
      void drain(stream, handlers)
      return () => stream.cancel()
    },
    watch: (key, listener) => host.watch(key, listener),
    onConnection: listener => host.onStatus(status => listener(connectionState(status))),
    pathForFile,
  }
}

async function drain<Item>(stream: AsyncIterable<Item>, handlers: StreamHandlers<Item>): Promise<void> {
  try {
    for await (const item of stream) handlers.onItem(item)
    handlers.onEnd?.()
  } catch (error) {
    handlers.onError?.(toShape(error))
  }
}

// The first attempt is "connecting"; whatever follows a failed one is "lost".
export function connectionState({ state, attempt, reason }: ConnectionStatus): ConnectionState {
  if (state === 'open') return { kind: 'online' }
  if (state === 'incompatible') return { kind: 'mismatch' }
  if (state === 'connecting' && attempt === 0 && !reason) return { kind: 'connecting' }
  return { kind: 'lost', reason }
}
