// Values the host announces: a snapshot to who subscribes, patches after that.
import { diff, type Json } from './json-patch'
import type { ServerFrame } from './frames'

type Subscriber = (frame: ServerFrame) => void

export class ServerState {
  private readonly values = new Map<string, { seq: number, value: Json }>()
  private readonly subscribers = new Map<string, Set<Subscriber>>()

  constructor(private readonly keys: ReadonlySet<string>) {}

  set(key: string, next: unknown): void {
    // A plain copy: later changes of the caller's objects must not pass unseen.
    const value = JSON.parse(JSON.stringify(next)) as Json
    const known = this.values.get(key)
    if (!known) {
      this.values.set(key, { seq: 0, value })
      return this.tell(key, { t: 'state', key, seq: 0, d: value })
    }
    const ops = diff(known.value, value)
    if (ops.length === 0) return
    known.seq++
    known.value = value
    this.tell(key, { t: 'patch', key, seq: known.seq, ops })
  }

  // Subscribing again sends the snapshot again: that is how a client closes a gap.
  subscribe(key: string, subscriber: Subscriber): void {
    if (!this.keys.has(key)) return
    let all = this.subscribers.get(key)
    if (!all) this.subscribers.set(key, all = new Set())
    all.add(subscriber)
    const known = this.values.get(key)
    if (known) subscriber({ t: 'state', key, seq: known.seq, d: known.value })
  }

  unsubscribe(key: string, subscriber: Subscriber): void { this.subscribers.get(key)?.delete(subscriber) }

  drop(subscriber: Subscriber): void {
    for (const all of this.subscribers.values()) all.delete(subscriber)
  }

  private tell(key: string, frame: ServerFrame): void {
    this.subscribers.get(key)?.forEach(subscriber => subscriber(frame))
  }
}
