// What the stores see of the host: calls, streams and state, whatever the wire below.
import type {
  CallIn, CallName, CallOut, Contract, ShellContract, StateKey, StateValue, StreamIn, StreamItem, StreamName, WorkbenchErrorShape,
} from '../../electron/contract'

export type ConnectionState =
  | { kind: 'connecting' }
  | { kind: 'online' }
  | { kind: 'lost', reason: string }
  | { kind: 'mismatch' }      // window and host speak different contracts

export interface StreamHandlers<Item> {
  onItem: (item: Item) => void
  onEnd?: () => void
  onError?: (error: WorkbenchErrorShape) => void
}

export interface Workbench {
  // Reject with WorkbenchError.
  call<M extends CallName<Contract>>(method: M, params: CallIn<Contract, M>, signal?: AbortSignal): Promise<CallOut<Contract, M>>
  shell<M extends CallName<ShellContract>>(method: M, params: CallIn<ShellContract, M>): Promise<CallOut<ShellContract, M>>
  // Returns the function that closes the stream.
  open<M extends StreamName<Contract>>(method: M, params: StreamIn<Contract, M>, handlers: StreamHandlers<StreamItem<Contract, M>>): () => void
  // The listener gets the present value and every later one; survives reconnects.
  watch<K extends StateKey<Contract>>(key: K, listener: (value: StateValue<Contract, K>) => void): () => void
  onConnection(listener: (state: ConnectionState) => void): () => void
  // Where a dropped file lies; undefined in a browser, which does not tell.
  pathForFile(file: File): string | undefined
}

let provided: Workbench | undefined

export function provideWorkbench(workbench: Workbench): void { provided = workbench }

export function workbench(): Workbench {
  if (!provided) throw new Error('The workbench is used before it is connected')
  return provided
}
