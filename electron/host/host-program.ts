// The host as a process of its own: takes orders from its supervisor, serves windows, and ends
// with a code that tells why.
import { WorkbenchError, type Scope } from '../contract'
import { messagePortWire, type Wire } from '../contract/rpc'
import type { EmitterPort } from '../contract/rpc/message-port'
import { WireInbox } from '../contract/rpc/wire'
import type { Engine } from '../engine/types'
import { createHost, type Host } from './compose'
import { exitCodes } from './exit-causes'
import type { FromHost, ToHost } from './host-messages'

// The process's line to its supervisor.
export interface HostChannel {
  post(message: FromHost): void
  onMessage(listener: (message: ToHost, port: EmitterPort | undefined) => void): void
  onClose(listener: () => void): void
}

// The window is the user's own.
const windowScopes: readonly Scope[] = ['infer', 'manage', 'train']

export function runHostProgram(channel: HostChannel, createEngine: () => Engine): void {
  const program = new HostProgram(channel, createEngine)
  process.on('unhandledRejection', error => program.die(error))
  process.on('uncaughtException', error => program.die(error))
  // A terminal's Ctrl-C reaches the whole group; the supervisor says when to end.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => void program.stop(exitCodes.ok))
  channel.onMessage((message, port) => program.receive(message, port))
  channel.onClose(() => void program.stop(exitCodes.orphaned))
}

class HostProgram {
  private host: Host | undefined
  private stopping = false
  private readonly relays = new Map<number, WireInbox>()

  constructor(private readonly channel: HostChannel, private readonly createEngine: () => Engine) {}

  receive(message: ToHost, port: EmitterPort | undefined): void {
    switch (message.type) {
      case 'start': return this.start(message.options)
      case 'ping': return this.channel.post({ type: 'pong' })
      case 'connect': return this.host?.accept(port ? messagePortWire(port) : this.relay(message.id), windowScopes)
      case 'frame': return this.relays.get(message.id)?.receive(message.frame)
      case 'disconnect': return this.hangUp(message.id)
      case 'stop': return void this.stop(exitCodes.ok)
    }
  }

  die(error: unknown): void {
    console.error(error instanceof Error ? error.stack ?? error.message : String(error))
    process.exit(exitCodes.defect)
  }

  async stop(code: number): Promise<void> {
    if (this.stopping) return
    this.stopping = true
    await this.host?.close()
    process.exit(code)
  }

  private start(options: Extract<ToHost, { type: 'start' }>['options']): void {
    try {
      this.host = createHost(this.createEngine(), options)
    } catch (error) {
      const shape = error instanceof WorkbenchError ? error.toShape() : new WorkbenchError('E_INTERNAL', `The host cannot start: ${String(error)}`).toShape()
      console.error(shape.message)
      this.channel.post({ type: 'failed', error: shape })
      // The message must be out before the process is.
      return void setTimeout(() => process.exit(exitCodes.startFailed), 100)
    }
    this.host.services.notices.onDidChange.on(list => { if (list.length === 0) this.channel.post({ type: 'notices-dismissed' }) })
    this.host.services.log.onDidLog.on(({ level, text }) => (level === 'info' ? console.log(text) : console.error(text)))
    this.channel.post({ type: 'ready' })
    void this.host.start().then(() => this.host?.services.calibration.measureWhenIdle())
  }

  private relay(id: number): Wire {
    const inbox = new WireInbox()
    this.relays.set(id, inbox)
    return {
      heartbeat: true,
      send: frame => { if (!inbox.closed) this.channel.post({ type: 'frame', id, frame }) },
      onFrame: listener => inbox.onFrame(listener),
      onClose: listener => inbox.onClose(listener),
      close: (reason = 'closed') => {
        if (!this.relays.delete(id)) return
        this.channel.post({ type: 'disconnect', id, reason })
        inbox.finish(reason)
      },
    }
  }

  private hangUp(id: number): void {
    const inbox = this.relays.get(id)
    this.relays.delete(id)
    inbox?.finish('the window is gone')
  }
}
