// Keeps a host running: starts it, asks now and then whether it still answers, starts it again
// when it ends, and remembers why. Windows connect here; while there is no host they wait, and
// when it failed too often they are served by the fallback, which knows only the reasons.
// `spawn` is a child process in `serve` and a utility process inside Electron.
import { WorkbenchError, type HostNotice, type WorkbenchErrorShape } from '../contract'
import type { Wire } from '../contract/rpc'
import { Emitter } from '../services/emitter'
import { describeExit, type HostExit } from './exit-causes'
import { createFallback, type Fallback } from './fallback'
import type { FromHost, HostStart, ToHost } from './host-messages'

export interface HostProcess {
  readonly pid: number | undefined
  // `port` travels with the message inside Electron.
  post(message: ToHost, port?: unknown): void
  onMessage(listener: (message: FromHost) => void): void
  onExit(listener: (exit: HostExit) => void): void
  // One line of the host's output.
  onLog(listener: (line: string) => void): void
  kill(): void
}

export interface SupervisorTimes {
  helloMs: number
  pingEveryMs: number
  graceMs: number
  restartMs: readonly number[]
  // Restarts are counted within this time.
  windowMs: number
  // How long a host may take to end when asked.
  stopMs: number
}

export interface SupervisorOptions {
  spawn(): HostProcess
  start: Omit<HostStart, 'notices'>
  times?: Partial<SupervisorTimes>
  onLog?: (line: string) => void
}

export type SupervisorState =
  | { kind: 'starting' } | { kind: 'ready', pid: number | undefined } | { kind: 'waiting', notice: HostNotice }
  | { kind: 'failed', notice: HostNotice } | { kind: 'stopped' }

// A window's end: a wire to relay, or a port to hand over.
type Visitor = { id: number, wire: Wire } | { id: number, port: unknown, serve: (fallback: Fallback) => void }

const defaultTimes: SupervisorTimes = { helloMs: 10_000, pingEveryMs: 5000, graceMs: 30_000, restartMs: [500, 1000, 2000], windowMs: 600_000, stopMs: 10_000 }
const keptLogLines = 200
const keptNotices = 5

export class Supervisor {
  readonly onDidChange = new Emitter<SupervisorState>()
  state: SupervisorState = { kind: 'stopped' }
  private readonly times: SupervisorTimes
  private host: HostProcess | undefined
  private readonly relayed = new Map<number, Wire>()
  private readonly waiting: Visitor[] = []
  private fallback: Fallback | undefined
  private notices: HostNotice[] = []
  private log: string[] = []
  private crashes: number[] = []
  private startFailure: WorkbenchErrorShape | undefined
  private unresponsive = false
  private lastHeard = 0
  private timers: NodeJS.Timeout[] = []
  private nextId = 1

  constructor(private readonly options: SupervisorOptions) { this.times = { ...defaultTimes, ...options.times } }

  start(): void {
    this.fallback?.close()
    this.fallback = undefined
    this.startFailure = undefined
    this.unresponsive = false
    this.log = []
    this.setState({ kind: 'starting' })
    const host = this.options.spawn()
    this.host = host
    host.onMessage(message => { if (this.host === host) this.receive(message) })
    host.onLog(line => {
      this.log.push(line)
      if (this.log.length > keptLogLines) this.log.shift()
      this.options.onLog?.(line)
    })
    host.onExit(exit => { if (this.host === host) this.ended(exit) })
    host.post({ type: 'start', options: { ...this.options.start, notices: this.notices } })
    this.lastHeard = Date.now()
    this.timers.push(setTimeout(() => this.giveUp(host), this.times.helloMs))
  }

  // After a failure, on the user's word.
  restart(): void {
    if (this.state.kind !== 'failed') throw new WorkbenchError('E_CONFLICT', 'The host is running.')
    this.crashes = []
    this.start()
  }

  // A window whose frames pass through here.
  connect(wire: Wire): void { this.admit({ id: this.nextId++, wire }) }

  // A window whose port goes to the host. `serve` gives the port to the fallback instead.
  connectPort(port: unknown, serve: (fallback: Fallback) => void): void { this.admit({ id: this.nextId++, port, serve }) }

  async stop(): Promise<void> {
    const host = this.host
    const before = this.state.kind
    this.clearTimers()
    this.setState({ kind: 'stopped' })
    this.fallback?.close()
    for (const wire of this.relayed.values()) wire.close('the program ends')
    for (const visitor of this.waiting.splice(0)) if ('wire' in visitor) visitor.wire.close('the program ends')
    if (!host || before === 'waiting' || before === 'failed') return
    await new Promise<void>(resolve => {
      host.onExit(() => resolve())
      this.timers.push(setTimeout(() => host.kill(), this.times.stopMs))
      host.post({ type: 'stop' })
    })
    this.clearTimers()
  }

  private admit(visitor: Visitor): void {
    if (this.state.kind === 'stopped') {
      if ('wire' in visitor) visitor.wire.close('the program ends')
    } else if (this.state.kind === 'failed') this.serveFallback(visitor)
    else if (this.state.kind === 'ready') this.introduce(visitor)
    else this.waiting.push(visitor)
  }

  private introduce(visitor: Visitor): void {
    const { id } = visitor
    if ('port' in visitor) return this.host?.post({ type: 'connect', id }, visitor.port)
    const { wire } = visitor
    this.relayed.set(id, wire)
    this.host?.post({ type: 'connect', id })
    wire.onClose(() => { if (this.relayed.delete(id)) this.host?.post({ type: 'disconnect', id }) })
    wire.onFrame(frame => { if (this.relayed.has(id)) this.host?.post({ type: 'frame', id, frame }) })
  }

  private serveFallback(visitor: Visitor): void {
    const fallback = this.fallback ??= createFallback(this.notices, () => this.restart())
    if ('wire' in visitor) fallback.accept(visitor.wire)
    else visitor.serve(fallback)
  }

  private receive(message: FromHost): void {
    this.lastHeard = Date.now()
    switch (message.type) {
      case 'ready': return this.becomeReady()
      case 'pong': return
      case 'frame': return this.relayed.get(message.id)?.send(message.frame)
      case 'disconnect': {
        const wire = this.relayed.get(message.id)
        this.relayed.delete(message.id)
        return wire?.close(message.reason)
      }
      case 'notices-dismissed': return void (this.notices = [])
      case 'failed': return void (this.startFailure = message.error)
    }
  }

  private becomeReady(): void {
    this.clearTimers()
    this.setState({ kind: 'ready', pid: this.host?.pid })
    for (const visitor of this.waiting.splice(0)) this.introduce(visitor)
    const host = this.host
    if (!host) return
    this.timers.push(setInterval(() => {
      if (Date.now() - this.lastHeard > this.times.graceMs) return this.giveUp(host)
      host.post({ type: 'ping' })
    }, this.times.pingEveryMs))
  }

  private giveUp(host: HostProcess): void {
    this.unresponsive = true
    host.kill()
  }

  private ended(exit: HostExit): void {
    this.clearTimers()
    this.host = undefined
    if (this.state.kind === 'stopped') return
    const notice = this.noticeOf({ ...exit, unresponsive: this.unresponsive })
    this.notices = [...this.notices, notice].slice(-keptNotices)
    for (const wire of this.relayed.values()) wire.close(notice.cause)
    this.relayed.clear()
    const now = Date.now()
    this.crashes = [...this.crashes.filter(at => now - at < this.times.windowMs), now]
    const wait = this.times.restartMs[this.crashes.length - 1]
    if (this.startFailure || wait === undefined) {
      this.setState({ kind: 'failed', notice })
      for (const visitor of this.waiting.splice(0)) this.serveFallback(visitor)
      return
    }
    this.setState({ kind: 'waiting', notice })
    this.timers.push(setTimeout(() => this.start(), wait))
  }

  private noticeOf(exit: HostExit): HostNotice {
    const failure = this.startFailure
    const { cause, advice } = failure ? { cause: failure.message, advice: failure.hint } : describeExit(exit, this.log)
    return { cause, advice, at: Date.now(), log: [...this.log] }
  }

  private setState(state: SupervisorState): void {
    this.state = state
    this.onDidChange.emit(state)
  }

  private clearTimers(): void {
    for (const timer of this.timers.splice(0)) clearTimeout(timer)
  }
}
