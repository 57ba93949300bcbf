// One client's connection: takes its frames apart, checks them and runs the handlers.
import { z } from 'zod'
import type { CallSpec, Scope, StreamSpec } from '../define'
import { WorkbenchError } from '../errors'
import {
  ClientFrame, defaultMethodBytes, jsonDepth, maxDepth, maxFrameBytes, pingEveryMs, protocolVersion, type ServerFrame,
} from './frames'
import { after, createAbort, type Abort, type Off } from './runtime'
import { ServerStream } from './server-stream'
import type { Closable, ConnectionHost, Session, StreamContext } from './server-types'
import type { Frame, Wire } from './wire'

const maxCalls = 20_000
const maxStreams = 1000
const keptEndedStreams = 8
// The frame around the parameters: t, id, m, p.
const envelopeDepth = 1

export class Connection implements Closable {
  private session: Session | undefined
  private readonly calls = new Map<number, Abort>()
  private stopWatchdog: Off = () => {}
  private lastHeard = Date.now()
  private over = false
  private readonly tell = (frame: ServerFrame): void => this.send(frame)

  constructor(private readonly server: ConnectionHost, private readonly wire: Wire, private readonly scopes: readonly Scope[]) {}

  start(): void {
    this.wire.onClose(() => this.gone())
    this.wire.onFrame(frame => this.receive(frame))
    if (this.wire.heartbeat && !this.over) this.watch()
  }

  close(reason: string): void {
    if (this.over) return
    this.wire.close(reason)
    this.gone()
  }

  private gone(): void {
    if (this.over) return
    this.over = true
    this.stopWatchdog()
    this.server.state.drop(this.tell)
    this.server.leave(this, this.session)
  }

  private watch(): void {
    this.stopWatchdog = after(pingEveryMs, () => {
      if (Date.now() - this.lastHeard > 2.5 * pingEveryMs) return this.close('silent')
      this.watch()
    })
  }

  private receive(data: Frame): void {
    if (this.over) return
    this.lastHeard = Date.now()
    if (typeof data !== 'string' || data.length > maxFrameBytes) return this.close('a frame that is no text, or too large')
    let frame: ClientFrame
    try {
      frame = ClientFrame.parse(JSON.parse(data))
    } catch {
      return this.close('a frame that is none of this protocol')
    }
    if (frame.t === 'hello') return this.hello(frame)
    if (!this.session) return this.close('hello comes first')
    switch (frame.t) {
      case 'call': return void this.call(frame, data)
      case 'open': return this.openStream(this.session, frame, data)
      case 'cancel': return this.cancel(this.session, frame.id)
      case 'credit': return this.session.streams.get(frame.id)?.grant(frame.n)
      case 'sub': return this.server.state.subscribe(frame.key, this.tell)
      case 'unsub': return this.server.state.unsubscribe(frame.key, this.tell)
      case 'ping': return this.send({ t: 'pong' })
    }
  }

  private hello(frame: Extract<ClientFrame, { t: 'hello' }>): void {
    if (this.session) return this.close('hello comes once')
    const { hash, app } = this.server
    const answer = { t: 'hello', v: protocolVersion, contract: hash, app, session: frame.session } as const
    if (frame.v !== protocolVersion || frame.contract !== hash) {
      const error = new WorkbenchError('E_VERSION', `The window (${frame.app}) and the host (${app}) were built from different contracts.`, {
        hint: 'Reload the window, or update the older of the two.',
      })
      this.send({ ...answer, resumed: false, error: error.toShape() })
      return this.close('versions differ')
    }
    const { session, known } = this.server.enter(frame.session, this)
    this.session = session
    this.send({ ...answer, resumed: known })
    const resumed = new Set<number>()
    for (const { id, from, credit } of frame.resume ?? []) {
      const stream = session.streams.get(id)
      if (stream?.resume(from, credit, data => this.wire.send(data))) resumed.add(id)
      else if (known) this.send({ t: 'fail', id, e: gapError().toShape() })
    }
    for (const [id, stream] of session.streams) {
      if (resumed.has(id)) continue
      stream.stop('not resumed')
      session.streams.delete(id)
    }
  }

  private async call(frame: Extract<ClientFrame, { t: 'call' }>, data: string): Promise<void> {
    const { id, m } = frame
    if (this.calls.has(id)) return this.close('a call id used twice')
    const abort = createAbort()
    try {
      const method = this.server.methods.calls.get(m)
      if (!method) throw new WorkbenchError('E_NOT_FOUND', `There is no method "${m}".`)
      if (this.calls.size >= maxCalls) throw new WorkbenchError('E_QUEUE_FULL', 'Too many calls at once.', { retryable: true })
      this.calls.set(id, abort)
      const params = this.check(m, method.spec, frame.p, data)
      const result = await method.handle(params, { signal: abort.signal, scopes: this.scopes })
      this.send({ t: 'ok', id, r: result })
    } catch (error) {
      const cancelled = abort.signal.aborted && !(error instanceof WorkbenchError)
      this.send({ t: 'err', id, e: cancelled ? new WorkbenchError('E_CANCELLED', `${m} was cancelled.`).toShape() : this.server.shapeOf(error, m) })
    } finally {
      this.calls.delete(id)
    }
  }

  private openStream(session: Session, frame: Extract<ClientFrame, { t: 'open' }>, data: string): void {
    const { id, m } = frame
    const refuse = (error: unknown): void => this.send({ t: 'fail', id, e: this.server.shapeOf(error, m) })
    if (session.streams.has(id)) return this.close('a stream id used twice')
    const method = this.server.methods.streams.get(m)
    if (!method) return refuse(new WorkbenchError('E_NOT_FOUND', `There is no stream "${m}".`))
    if (session.streams.size >= maxStreams) return refuse(new WorkbenchError('E_QUEUE_FULL', 'Too many streams at once.', { retryable: true }))
    let params: unknown
    try {
      params = this.check(m, method.spec, frame.p, data)
    } catch (error) {
      return refuse(error)
    }
    const stream = new ServerStream(id, m, method.spec, frame.credit, bytes => this.wire.send(bytes))
    session.streams.set(id, stream)
    const context: StreamContext<unknown> = { signal: stream.abort.signal, scopes: this.scopes, send: item => stream.send(item) }
    // Called in a later turn, so that a handler that throws at once is told like any other.
    void Promise.resolve().then(() => method.handle(params, context)).then(
      () => this.endStream(session, stream),
      (error: unknown) => this.endStream(session, stream, error),
    )
  }

  private endStream(session: Session, stream: ServerStream, error?: unknown): void {
    stream.finish(error === undefined ? undefined : this.server.shapeOf(error, stream.method), () => {
      if (!stream.spec.resume) return void session.streams.delete(stream.id)
      // Kept for a client that lost its wire just before the end.
      const ended = [...session.streams.values()].filter(other => other.ended)
      for (const old of ended.slice(0, -keptEndedStreams)) session.streams.delete(old.id)
    })
  }

  private cancel(session: Session, id: number): void {
    this.calls.get(id)?.abort(new WorkbenchError('E_CANCELLED', 'Cancelled by the client.'))
    const stream = session.streams.get(id)
    if (!stream) return
    session.streams.delete(id)
    stream.stop('cancelled by the client')
  }

  private check(name: string, spec: CallSpec | StreamSpec, params: unknown, data: string): unknown {
    if (!this.scopes.includes(spec.scope)) throw new WorkbenchError('E_SCOPE', `"${name}" needs the scope "${spec.scope}".`)
    const limit = ('maxBytes' in spec ? spec.maxBytes : undefined) ?? defaultMethodBytes
    if (data.length > limit) throw new WorkbenchError('E_TOO_LARGE', `"${name}" takes at most ${limit} bytes, this request has ${data.length}.`)
    if (jsonDepth(data) > maxDepth + envelopeDepth) throw new WorkbenchError('E_BAD_REQUEST', `"${name}": nested deeper than ${maxDepth} levels.`)
    const checked = spec.in.safeParse(params)
    if (!checked.success) throw new WorkbenchError('E_SCHEMA', `"${name}": ${z.prettifyError(checked.error)}`)
    return checked.data
  }

  private send(frame: ServerFrame): void {
    if (!this.over) this.wire.send(JSON.stringify(frame))
  }
}

function gapError(): WorkbenchError {
  return new WorkbenchError('E_GAP', 'Items of this stream are no longer kept.', { hint: 'Load the state again.', retryable: true })
}
