// The consumer's half of one stream: a queue that grants credit as it is read.
import type { WorkbenchError } from '../errors'

// Iterate it once. Leaving the loop early, or cancel(), ends the producer.
export interface ClientStream<T> extends AsyncIterable<T> {
  cancel(): void
}

interface StreamEnds {
  credit(n: number): void
  // The consumer does not want more.
  cancelled(): void
}

export class StreamQueue<T> implements ClientStream<T> {
  // Next seq expected; what came before is a repeat after a resume.
  nextSeq = 0
  private items: T[] = []
  private finished: { error?: WorkbenchError } | undefined
  private wake: (() => void) | undefined
  private consumed = 0

  constructor(private readonly window: number, private readonly ends: StreamEnds) {}

  get done(): boolean { return this.finished !== undefined }

  // Credit to offer when the stream is opened or resumed: what the queue can still take.
  get openCredit(): number {
    this.consumed = 0
    return Math.max(0, this.window - this.items.length)
  }

  // False when an item before this one is missing.
  push(seq: number, item: T): boolean {
    if (seq < this.nextSeq || this.finished) return true
    if (seq > this.nextSeq) return false
    this.nextSeq = seq + 1
    this.items.push(item)
    this.wake?.()
    return true
  }

  // A stream that starts anew under the same queue (telemetry after a reconnect).
  restart(): void {
    this.nextSeq = 0
    this.items = []
  }

  finish(error?: WorkbenchError): void {
    if (this.finished) return
    this.finished = error ? { error } : {}
    this.wake?.()
  }

  cancel(): void {
    if (!this.finished) {
      this.finished = {}
      this.ends.cancelled()
    }
    this.items = []
    this.wake?.()
  }

  async* [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        while (this.items.length > 0) {
          const item = this.items.shift() as T
          this.consumed++
          if (!this.finished && (this.consumed * 2 >= this.window || this.items.length === 0)) {
            this.ends.credit(this.consumed)
            this.consumed = 0
          }
          yield item
        }
        if (this.finished?.error) throw this.finished.error
        if (this.finished) return
        await new Promise<void>(resolve => { this.wake = resolve })
        this.wake = undefined
      }
    } finally {
      this.cancel()
    }
  }
}
