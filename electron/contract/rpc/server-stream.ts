// The producer's half of one stream: credit in items, a cap in bytes, and the ring of recent
// items that lets a reconnecting client go on where it was.
import type { StreamSpec } from '../define'
import type { WorkbenchErrorShape } from '../errors'
import { encodeBinaryItem, maxInFlightBytes, ringBytes, ringItems, type ServerFrame } from './frames'
import { createAbort } from './runtime'
import type { Frame } from './wire'

interface SentItem { seq: number, frame: Frame, bytes: number }

export class ServerStream {
  readonly abort = createAbort()
  ended = false
  private transmit: ((frame: Frame) => void) | undefined
  private nextSeq = 0
  private readonly ring: SentItem[] = []
  private ringBytes = 0
  private readonly inFlight: number[] = []
  private inFlightBytes = 0
  private readonly waiting: { item: unknown, taken: () => void }[] = []
  private final: ServerFrame | undefined
  private onEnded: () => void = () => {}

  constructor(readonly id: number, readonly method: string, readonly spec: StreamSpec, private credit: number, transmit: (frame: Frame) => void) {
    this.transmit = transmit
  }

  // Resolves when the item is on its way. 'never' waits for credit: await it before making the
  // next item. 'latest' is replaced by a newer item that comes before there is credit, and then
  // resolves too.
  send(item: unknown): Promise<void> {
    if (this.final || this.abort.signal.aborted) return Promise.resolve()
    return new Promise(taken => {
      if (this.spec.drop === 'latest') for (const replaced of this.waiting.splice(0)) replaced.taken()
      this.waiting.push({ item, taken })
      this.pump()
    })
  }

  grant(n: number): void {
    this.credit += n
    for (const bytes of this.inFlight.splice(0, n)) this.inFlightBytes -= bytes
    this.pump()
  }

  // What was handed over before still goes out; `onEnded` is called after it.
  finish(error: WorkbenchErrorShape | undefined, onEnded: () => void): void {
    this.final = error ? { t: 'fail', id: this.id, e: error } : { t: 'end', id: this.id }
    this.onEnded = onEnded
    this.pump()
  }

  stop(reason: unknown): void {
    this.transmit = undefined
    this.abort.abort(reason)
    for (const { taken } of this.waiting.splice(0)) taken()
  }

  detach(): void { this.transmit = undefined }

  // False when items from `from` on are no longer known.
  resume(from: number, credit: number, transmit: (frame: Frame) => void): boolean {
    const oldest = this.ring[0]?.seq ?? this.nextSeq
    if (from < oldest || from > this.nextSeq) return false
    this.transmit = transmit
    const missed = this.ring.filter(item => item.seq >= from)
    this.inFlight.splice(0, this.inFlight.length, ...missed.map(item => item.bytes))
    this.inFlightBytes = missed.reduce((sum, item) => sum + item.bytes, 0)
    this.credit = credit - missed.length
    for (const item of missed) transmit(item.frame)
    if (this.ended) transmit(JSON.stringify(this.final))
    else this.pump()
    return true
  }

  private pump(): void {
    if (this.ended || this.abort.signal.aborted) return
    while (this.waiting.length > 0 && this.mayPush()) {
      const next = this.waiting.shift()
      this.push(next?.item)
      next?.taken()
    }
    if (!this.final || this.waiting.length > 0) return
    this.ended = true
    this.transmit?.(JSON.stringify(this.final))
    this.onEnded()
  }

  // One item may always travel, however large.
  private mayPush(): boolean {
    return this.credit > 0 && (this.inFlight.length === 0 || this.inFlightBytes < maxInFlightBytes)
  }

  private push(item: unknown): void {
    const seq = this.nextSeq++
    const frame: Frame = 'binary' in this.spec.out
      ? encodeBinaryItem(this.id, seq, item as Uint8Array)
      : JSON.stringify({ t: 'item', id: this.id, seq, d: item } satisfies ServerFrame)
    const bytes = frame.length
    this.credit--
    this.inFlight.push(bytes)
    this.inFlightBytes += bytes
    if (this.spec.resume) this.keep({ seq, frame, bytes })
    this.transmit?.(frame)
  }

  private keep(item: SentItem): void {
    this.ring.push(item)
    this.ringBytes += item.bytes
    while (this.ring.length > this.inFlight.length && (this.ring.length > ringItems || this.ringBytes > ringBytes)) {
      this.ringBytes -= this.ring.shift()?.bytes ?? 0
    }
  }
}
