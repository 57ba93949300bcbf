// The calling half of a contract. Give it a wire, or a function that opens one: then a lost wire
// is opened again, streams are resumed and subscriptions renewed. Calls that were under way when
// the wire was lost fail with E_HOST_LOST, since nobody knows whether they were carried out.
//
//   const client = createClient(contract, () => webSocketWire(url))
//   const info = await client.call('host.info', {})
//   for await (const event of client.open('chat.watch', { generationId })) …
//   const off = client.watch('models', list => …)
//
// Browsers under a strict CSP should call z.config({ jitless: true }) first.
import { z } from 'zod'
import type { CallIn, CallName, CallOut, ContractSpec, StateKey, StateValue, StreamIn, StreamItem, StreamName, StreamSpec } from '../define'
import { WorkbenchError } from '../errors'
import { ClientState } from './client-state'
import { StreamQueue, type ClientStream } from './client-stream'
import { contractHash } from './contract-hash'
import { decodeBinaryItem, pingEveryMs, protocolVersion, type ClientFrame, type ServerFrame } from './frames'
import { after, randomId, type Off, type Signal } from './runtime'
import type { Frame, Wire } from './wire'

export type { ClientStream } from './client-stream'

export interface ConnectionStatus {
  // waiting: lost, and tried again soon. incompatible: the two ends were built from different contracts.
  state: 'connecting' | 'open' | 'waiting' | 'closed' | 'incompatible'
  attempt: number
  reason: string
}

export interface ClientOptions {
  app?: string
  // Waits between attempts; the last one repeats.
  retryMs?: readonly number[]
  // Checks what the host answers: for development and tests.
  validateOutputs?: boolean
  pingEveryMs?: number
}

export interface CallOptions { signal?: Signal, timeoutMs?: number }

export interface Client<C extends ContractSpec> {
  readonly status: ConnectionStatus
  // Called at once with the present status, then on each change.
  onStatus(listener: (status: ConnectionStatus) => void): Off
  call<M extends CallName<C>>(method: M, params: CallIn<C, M>, options?: CallOptions): Promise<CallOut<C, M>>
  open<M extends StreamName<C>>(method: M, params: StreamIn<C, M>, options?: { signal?: Signal }): ClientStream<StreamItem<C, M>>
  // The listener gets the whole value on each change; unchanged parts keep their identity.
  watch<K extends StateKey<C>>(key: K, listener: (value: StateValue<C, K>) => void): Off
  close(): void
}

export type WireSource = Wire | (() => Wire | Promise<Wire>)

export function createClient<C extends ContractSpec>(contract: C, source: WireSource, options: ClientOptions = {}): Client<C> {
  const core = new ClientCore(contract, source, options)
  return {
    get status() { return core.status },
    onStatus: listener => core.onStatus(listener),
    call: (method, params, callOptions) => core.call(method, params, callOptions) as Promise<never>,
    open: (method, params, openOptions) => core.open(method, params, openOptions) as ClientStream<never>,
    watch: (key, listener) => core.watch(key, listener as (value: unknown) => void),
    close: () => core.close(),
  }
}

interface PendingCall {
  method: string
  params: unknown
  sent: boolean
  resolve(value: unknown): void
  reject(error: WorkbenchError): void
}
interface OpenStream { id: number, method: string, params: unknown, spec: StreamSpec, queue: StreamQueue<unknown>, opened: boolean }

const defaultRetryMs = [200, 500, 1000, 2000, 5000] as const

class ClientCore {
  status: ConnectionStatus = { state: 'connecting', attempt: 0, reason: '' }
  private readonly session = randomId()
  private readonly statusListeners = new Set<(status: ConnectionStatus) => void>()
  private readonly calls = new Map<number, PendingCall>()
  private readonly streams = new Map<number, OpenStream>()
  private readonly state = new ClientState(frame => { if (this.greeted) this.send(frame) })
  private wire: Wire | undefined
  private nextId = 1
  private greeted = false
  private lastHeard = 0
  private stopTimers: Off = () => {}

  constructor(private readonly contract: ContractSpec, private readonly source: WireSource, private readonly options: ClientOptions) {
    void this.connect(0)
  }

  onStatus(listener: (status: ConnectionStatus) => void): Off {
    this.statusListeners.add(listener)
    listener(this.status)
    return () => { this.statusListeners.delete(listener) }
  }

  call(method: string, params: unknown, { signal, timeoutMs }: CallOptions = {}): Promise<unknown> {
    const spec = Object.hasOwn(this.contract.calls, method) ? this.contract.calls[method] : undefined
    if (!spec) return Promise.reject(new WorkbenchError('E_NOT_FOUND', `There is no method "${method}".`))
    const gone = this.goneError()
    if (gone) return Promise.reject(gone)
    if (signal?.aborted) return Promise.reject(new WorkbenchError('E_CANCELLED', `${method} was cancelled.`))
    const id = this.nextId++
    return new Promise<unknown>((resolve, reject) => {
      const cleanUp: Off[] = []
      const settle = (act: () => void): void => {
        if (!this.calls.delete(id)) return
        cleanUp.forEach(off => off())
        act()
      }
      const pending: PendingCall = {
        method, params, sent: false,
        resolve: value => settle(() => {
          const checked = this.options.validateOutputs ? spec.out.safeParse(value) : undefined
          if (checked && !checked.success) reject(new WorkbenchError('E_INTERNAL', `${method} answered out of contract: ${z.prettifyError(checked.error)}`))
          else resolve(value)
        }),
        reject: error => settle(() => reject(error)),
      }
      const giveUp = (error: WorkbenchError): void => {
        if (pending.sent) this.send({ t: 'cancel', id })
        pending.reject(error)
      }
      this.calls.set(id, pending)
      if (signal) {
        const onAbort = (): void => giveUp(new WorkbenchError('E_CANCELLED', `${method} was cancelled.`))
        signal.addEventListener('abort', onAbort, { once: true })
        cleanUp.push(() => signal.removeEventListener('abort', onAbort))
      }
      if (timeoutMs !== undefined) {
        cleanUp.push(after(timeoutMs, () => giveUp(new WorkbenchError('E_TIMEOUT', `${method} did not answer within ${timeoutMs} ms.`, { retryable: true }))))
      }
      if (this.greeted) this.sendCall(id, pending)
    })
  }

  open(method: string, params: unknown, { signal }: { signal?: Signal } = {}): ClientStream<unknown> {
    const spec = Object.hasOwn(this.contract.streams, method) ? this.contract.streams[method] : undefined
    const id = this.nextId++
    const queue = new StreamQueue<unknown>(spec?.credit ?? 1, {
      credit: n => { if (this.greeted) this.send({ t: 'credit', id, n }) },
      cancelled: () => {
        if (this.streams.delete(id) && this.greeted) this.send({ t: 'cancel', id })
      },
    })
    const gone = spec ? this.goneError() : new WorkbenchError('E_NOT_FOUND', `There is no stream "${method}".`)
    if (!spec || gone || signal?.aborted) {
      queue.finish(gone)
      return queue
    }
    const stream: OpenStream = { id, method, params, spec, queue, opened: false }
    this.streams.set(id, stream)
    signal?.addEventListener('abort', () => queue.cancel(), { once: true })
    if (this.greeted) this.sendOpen(stream)
    return queue
  }

  watch(key: string, listener: (value: unknown) => void): Off { return this.state.watch(key, listener) }

  close(): void {
    if (this.isOver()) return
    this.endAll('closed', new WorkbenchError('E_CANCELLED', 'The connection was closed.'))
  }

  private async connect(attempt: number): Promise<void> {
    this.setStatus({ state: 'connecting', attempt, reason: this.status.reason })
    try {
      const wire = await (typeof this.source === 'function' ? this.source() : this.source)
      if (this.isOver()) return wire.close()
      this.wire = wire
      wire.onFrame(frame => this.receive(frame))
      wire.onClose(reason => { if (this.wire === wire) this.lost(reason, this.greeted ? 0 : attempt) })
      this.sayHello()
    } catch (error) {
      this.lost(error instanceof Error ? error.message : String(error), attempt)
    }
  }

  private sayHello(): void {
    const resume = [...this.streams.values()].filter(stream => stream.opened && stream.spec.resume)
      .map(({ id, queue }) => ({ id, from: queue.nextSeq, credit: queue.openCredit }))
    this.send({
      t: 'hello', v: protocolVersion, contract: contractHash(this.contract), app: this.options.app ?? 'moebius',
      session: this.session, ...(resume.length > 0 && { resume }),
    })
  }

  private lost(reason: string, attempt: number): void {
    this.stopTimers()
    this.wire = undefined
    this.greeted = false
    if (this.isOver()) return
    const lostError = new WorkbenchError('E_HOST_LOST', `The connection to the host was lost: ${reason}`, { retryable: true })
    for (const pending of [...this.calls.values()]) if (pending.sent) pending.reject(lostError)
    if (typeof this.source !== 'function') return this.endAll('closed', lostError)
    for (const stream of [...this.streams.values()]) {
      if (stream.opened && !stream.spec.resume && stream.spec.drop === 'never') this.finishStream(stream, lostError)
    }
    const waits = this.options.retryMs ?? defaultRetryMs
    this.setStatus({ state: 'waiting', attempt, reason })
    this.stopTimers = after(waits[Math.min(attempt, waits.length - 1)] ?? 1000, () => void this.connect(attempt + 1))
  }

  private receive(data: Frame): void {
    this.lastHeard = Date.now()
    if (typeof data !== 'string') {
      const item = decodeBinaryItem(data)
      const stream = item && this.streams.get(item.stream)
      if (stream) this.takeItem(stream, item.seq, item.payload)
      return
    }
    const frame = JSON.parse(data) as ServerFrame
    switch (frame.t) {
      case 'hello': return this.onHello(frame)
      case 'ok': return this.calls.get(frame.id)?.resolve(frame.r)
      case 'err': return this.calls.get(frame.id)?.reject(WorkbenchError.from(frame.e))
      case 'item': {
        const stream = this.streams.get(frame.id)
        return stream && this.takeItem(stream, frame.seq, frame.d)
      }
      case 'end': return this.finishStream(this.streams.get(frame.id))
      case 'fail': return this.finishStream(this.streams.get(frame.id), WorkbenchError.from(frame.e))
      case 'state':
      case 'patch': return this.state.receive(frame)
      case 'ping': return this.send({ t: 'pong' })
    }
  }

  private onHello(frame: Extract<ServerFrame, { t: 'hello' }>): void {
    if (frame.error || frame.contract !== contractHash(this.contract)) {
      const error = frame.error ? WorkbenchError.from(frame.error) : new WorkbenchError('E_VERSION', 'The window and its host are of different versions.')
      return this.endAll('incompatible', error)
    }
    this.greeted = true
    for (const stream of this.streams.values()) this.renewStream(stream, frame.resumed)
    this.state.renew()
    for (const [id, pending] of this.calls) this.sendCall(id, pending)
    if (this.wire?.heartbeat) this.startPing(this.options.pingEveryMs ?? pingEveryMs)
    this.setStatus({ state: 'open', attempt: 0, reason: '' })
  }

  private renewStream(stream: OpenStream, resumed: boolean): void {
    if (stream.opened && stream.spec.resume) {
      if (!resumed) this.finishStream(stream, new WorkbenchError('E_GAP', 'The host no longer knows this stream.', { hint: 'Load the state again.', retryable: true }))
      return
    }
    if (stream.opened) stream.queue.restart()
    this.sendOpen(stream)
  }

  private takeItem(stream: OpenStream, seq: number, item: unknown): void {
    const schema = 'binary' in stream.spec.out ? undefined : stream.spec.out
    const checked = this.options.validateOutputs && schema ? schema.safeParse(item) : undefined
    if (checked && !checked.success) {
      return this.abandonStream(stream, new WorkbenchError('E_INTERNAL', `${stream.method} sent an item out of contract: ${z.prettifyError(checked.error)}`))
    }
    if (!stream.queue.push(seq, item)) this.abandonStream(stream, new WorkbenchError('E_GAP', 'Items of this stream were lost.', { retryable: true }))
  }

  private abandonStream(stream: OpenStream, error: WorkbenchError): void {
    this.send({ t: 'cancel', id: stream.id })
    this.finishStream(stream, error)
  }

  private finishStream(stream: OpenStream | undefined, error?: WorkbenchError): void {
    if (!stream) return
    this.streams.delete(stream.id)
    stream.queue.finish(error)
  }

  private sendCall(id: number, pending: PendingCall): void {
    try {
      this.send({ t: 'call', id, m: pending.method, p: pending.params })
      pending.sent = true
    } catch (error) {
      // A cycle, or a value JSON does not know.
      pending.reject(new WorkbenchError('E_BAD_REQUEST', `The parameters of ${pending.method} cannot be sent: ${String(error)}`))
    }
  }

  private sendOpen(stream: OpenStream): void {
    stream.opened = true
    this.send({ t: 'open', id: stream.id, m: stream.method, p: stream.params, credit: stream.queue.openCredit })
  }

  private send(frame: ClientFrame): void { this.wire?.send(JSON.stringify(frame)) }

  private startPing(everyMs: number): void {
    this.lastHeard = Date.now()
    const tick = (): void => {
      if (Date.now() - this.lastHeard > 2.5 * everyMs) return this.wire?.close('no answer to pings')
      this.send({ t: 'ping' })
      this.stopTimers = after(everyMs, tick)
    }
    this.stopTimers = after(everyMs, tick)
  }

  private endAll(state: 'closed' | 'incompatible', error: WorkbenchError): void {
    this.stopTimers()
    this.greeted = false
    this.setStatus({ state, attempt: 0, reason: error.message })
    const wire = this.wire
    this.wire = undefined
    wire?.close()
    for (const pending of [...this.calls.values()]) pending.reject(error)
    // Who closed the client itself knows: its loops just end.
    for (const stream of [...this.streams.values()]) this.finishStream(stream, error.code === 'E_CANCELLED' ? undefined : error)
  }

  private isOver(): boolean { return this.status.state === 'closed' || this.status.state === 'incompatible' }

  private goneError(): WorkbenchError | undefined {
    if (!this.isOver()) return undefined
    return new WorkbenchError(this.status.state === 'incompatible' ? 'E_VERSION' : 'E_HOST_LOST', this.status.reason)
  }

  private setStatus(status: ConnectionStatus): void {
    this.status = status
    this.statusListeners.forEach(listener => listener(status))
  }
}
