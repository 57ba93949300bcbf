// The answering half of a contract. Every input is checked here: frame size, nesting, method
// name (a Map lookup, never property access), scope, the method's own size limit and schema.
//
//   const server = createServer(contract, { calls, streams }, { app: 'moebius 0.1.0' })
//   server.accept(wire, { scopes: ['infer', 'manage'] })
//   server.setState('settings', settings)
import type { z } from 'zod'
import type { CallName, CallParams, CallSpec, ContractSpec, Scope, StateKey, StreamName, StreamParams, StreamSpec } from '../define'
import { WorkbenchError, type WorkbenchErrorShape } from '../errors'
import { contractHash } from './contract-hash'
import { after } from './runtime'
import { Connection } from './server-connection'
import { ServerState } from './server-state'
import type { CallContext, Closable, ConnectionHost, Methods, Session, StreamContext } from './server-types'
import type { Wire } from './wire'

export type { CallContext, StreamContext } from './server-types'

type CallResult<C extends ContractSpec, M extends CallName<C>> = z.input<C['calls'][M]['out']>
type StreamOut<C extends ContractSpec, M extends StreamName<C>> =
  C['streams'][M]['out'] extends z.ZodType ? z.input<C['streams'][M]['out']> : Uint8Array

export interface Handlers<C extends ContractSpec> {
  calls: { [M in CallName<C>]: (params: CallParams<C, M>, context: CallContext) => CallResult<C, M> | Promise<CallResult<C, M>> }
  // The stream ends when the handler's promise settles.
  streams: { [M in StreamName<C>]: (params: StreamParams<C, M>, context: StreamContext<StreamOut<C, M>>) => Promise<void> }
}

export interface ServerOptions {
  app?: string
  // How long the streams of a lost client are kept for its return.
  resumeMs?: number
  // Told of failures that are no WorkbenchError: defects of ours.
  onDefect?: (error: unknown, where: string) => void
}

export interface Server<C extends ContractSpec> {
  accept(wire: Wire, options: { scopes: readonly Scope[] }): void
  setState<K extends StateKey<C>>(key: K, value: z.input<C['state'][K]>): void
  readonly connections: number
  close(): void
}

export function createServer<C extends ContractSpec>(contract: C, handlers: Handlers<C>, options: ServerOptions = {}): Server<C> {
  return new ServerCore(contract, handlers as unknown as UntypedHandlers, options)
}

interface UntypedHandlers {
  calls: Record<string, (params: unknown, context: CallContext) => unknown>
  streams: Record<string, (params: unknown, context: StreamContext<unknown>) => Promise<void>>
}

class ServerCore<C extends ContractSpec> implements Server<C>, ConnectionHost {
  readonly state: ServerState
  readonly methods: Methods
  readonly app: string
  private readonly sessions = new Map<string, Session>()
  private readonly open = new Set<Closable>()

  constructor(private readonly contract: C, handlers: UntypedHandlers, private readonly options: ServerOptions) {
    this.app = options.app ?? 'moebius'
    const bind = <S, H>(specs: Record<string, S>, all: Record<string, H>): Map<string, { spec: S, handle: H }> =>
      new Map(Object.entries(specs).map(([name, spec]) => [name, { spec, handle: all[name] as H }]))
    this.methods = {
      calls: bind<CallSpec, UntypedHandlers['calls'][string]>(contract.calls, handlers.calls),
      streams: bind<StreamSpec, UntypedHandlers['streams'][string]>(contract.streams, handlers.streams),
    }
    this.state = new ServerState(new Set(Object.keys(contract.state)))
  }

  get hash(): string { return contractHash(this.contract) }
  get connections(): number { return this.open.size }

  accept(wire: Wire, { scopes }: { scopes: readonly Scope[] }): void {
    const connection = new Connection(this, wire, scopes)
    this.open.add(connection)
    connection.start()
  }

  setState(key: string, value: unknown): void { this.state.set(key, value) }

  close(): void {
    for (const connection of [...this.open]) connection.close('the host ends')
    for (const session of [...this.sessions.values()]) this.endSession(session)
  }

  enter(id: string, connection: Closable): { session: Session, known: boolean } {
    const before = this.sessions.get(id)
    if (before) {
      before.connection?.close('replaced by a newer connection')
      before.forget()
      before.connection = connection
      return { session: before, known: true }
    }
    const session: Session = { id, connection, streams: new Map(), forget: () => {} }
    this.sessions.set(id, session)
    return { session, known: false }
  }

  leave(connection: Closable, session: Session | undefined): void {
    this.open.delete(connection)
    if (!session || session.connection !== connection) return
    session.connection = undefined
    for (const [id, stream] of session.streams) {
      stream.detach()
      if (stream.spec.resume) continue
      stream.stop('the client is gone')
      session.streams.delete(id)
    }
    session.forget = after(this.options.resumeMs ?? 60_000, () => this.endSession(session))
  }

  shapeOf(error: unknown, where: string): WorkbenchErrorShape {
    if (error instanceof WorkbenchError) return error.toShape()
    this.options.onDefect?.(error, where)
    const message = error instanceof Error ? error.message : String(error)
    return new WorkbenchError('E_INTERNAL', `${where} failed: ${message}`, { hint: 'This is a defect of the program; the log has the details.' }).toShape()
  }

  private endSession(session: Session): void {
    session.forget()
    this.sessions.delete(session.id)
    for (const stream of session.streams.values()) stream.stop('the client is gone')
    session.streams.clear()
  }
}
