// The client's copies of the host's state: a snapshot each, kept current by patches.
import type { ClientFrame, ServerFrame } from './frames'
import { applyPatch, type Json } from './json-patch'
import type { Off } from './runtime'

type StateFrame = Extract<ServerFrame, { t: 'state' | 'patch' }>
interface Watch { listeners: Set<(value: unknown) => void>, seq: number, value: Json | undefined }

export class ClientState {
  private readonly watches = new Map<string, Watch>()

  constructor(private readonly send: (frame: ClientFrame) => void) {}

  watch(key: string, listener: (value: unknown) => void): Off {
    let watch = this.watches.get(key)
    if (!watch) {
      watch = { listeners: new Set(), seq: -1, value: undefined }
      this.watches.set(key, watch)
      this.send({ t: 'sub', key })
    }
    watch.listeners.add(listener)
    if (watch.value !== undefined) listener(watch.value)
    return () => {
      watch.listeners.delete(listener)
      if (watch.listeners.size > 0 || this.watches.get(key) !== watch) return
      this.watches.delete(key)
      this.send({ t: 'unsub', key })
    }
  }

  // On a new connection everything is asked for again.
  renew(): void {
    for (const key of this.watches.keys()) this.send({ t: 'sub', key })
  }

  receive(frame: StateFrame): void {
    const watch = this.watches.get(frame.key)
    if (!watch) return
    if (frame.t === 'state') return this.adopt(watch, frame.seq, frame.d as Json)
    if (watch.value === undefined || frame.seq <= watch.seq) return
    const next = frame.seq === watch.seq + 1 ? patched(watch.value, frame) : undefined
    if (next !== undefined) return this.adopt(watch, frame.seq, next)
    // A missed or unfitting update: the whole value is asked for again, and patches wait for it.
    watch.seq = Number.MAX_SAFE_INTEGER
    this.send({ t: 'sub', key: frame.key })
  }

  private adopt(watch: Watch, seq: number, value: Json): void {
    watch.seq = seq
    watch.value = value
    for (const listener of [...watch.listeners]) listener(value)
  }
}

function patched(value: Json, { ops }: Extract<ServerFrame, { t: 'patch' }>): Json | undefined {
  try {
    return applyPatch(value, ops)
  } catch {
    return undefined
  }
}
