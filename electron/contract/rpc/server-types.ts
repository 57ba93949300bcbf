// What the parts of the server know of each other.
import type { CallSpec, Scope, StreamSpec } from '../define'
import type { WorkbenchErrorShape } from '../errors'
import type { Off, Signal } from './runtime'
import type { ServerState } from './server-state'
import type { ServerStream } from './server-stream'

export interface CallContext {
  signal: Signal
  scopes: readonly Scope[]
}

export interface StreamContext<T> extends CallContext {
  // Resolves when the item is on its way. 'never' streams wait for credit: await it before
  // making the next item; 'latest' streams replace what still waits.
  send(item: T): Promise<void>
}

export interface Methods {
  calls: Map<string, { spec: CallSpec, handle: (params: unknown, context: CallContext) => unknown }>
  streams: Map<string, { spec: StreamSpec, handle: (params: unknown, context: StreamContext<unknown>) => Promise<void> }>
}

export interface Closable { close(reason: string): void }

// Outlives a connection, so that a client that comes back finds its streams.
export interface Session {
  id: string
  connection: Closable | undefined
  streams: Map<number, ServerStream>
  forget: Off
}

// What a connection needs of its server.
export interface ConnectionHost {
  readonly app: string
  readonly hash: string
  readonly methods: Methods
  readonly state: ServerState
  // The client's session; `known` when it was here before.
  enter(id: string, connection: Closable): { session: Session, known: boolean }
  leave(connection: Closable, session: Session | undefined): void
  // Any thrown thing as the shape that may cross the wire.
  shapeOf(error: unknown, where: string): WorkbenchErrorShape
}
