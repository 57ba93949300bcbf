// Who may use the processor: work that shares it (generations, loads), and work that needs it
// alone because it measures. Each waits for its turn; only who said so is asked to give way.
import { WorkbenchError } from '../contract'

export class Turns {
  private nSharing = 0
  private alone: Promise<void> | undefined
  private giveWay: (() => void) | undefined
  private readonly waiting = new Set<() => void>()

  // Waits only while somebody is alone. May be nested.
  async share<T>(work: () => Promise<T>): Promise<T> {
    while (this.alone) {
      this.giveWay?.()
      await this.alone
    }
    this.nSharing++
    try {
      return await work()
    } finally {
      if (--this.nSharing === 0) this.wake()
    }
  }

  // Waits until nobody shares. Throws E_CANCELLED when the signal fires before that. `giveWay` is
  // called when others wait for the work to end.
  async takeAlone<T>(work: () => Promise<T>, signal?: AbortSignal, giveWay?: () => void): Promise<T> {
    while (this.nSharing > 0 || this.alone) await this.change(signal)
    let leave = (): void => {}
    this.alone = new Promise(resolve => { leave = resolve })
    this.giveWay = giveWay
    try {
      return await work()
    } finally {
      this.alone = this.giveWay = undefined
      leave()
      this.wake()
    }
  }

  private change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancelled = (): void => {
        this.waiting.delete(woken)
        reject(new WorkbenchError('E_CANCELLED', 'Cancelled while waiting for a free processor.'))
      }
      const woken = (): void => {
        signal?.removeEventListener('abort', cancelled)
        resolve()
      }
      if (signal?.aborted) return cancelled()
      signal?.addEventListener('abort', cancelled, { once: true })
      this.waiting.add(woken)
    })
  }

  private wake(): void {
    const woken = [...this.waiting]
    this.waiting.clear()
    for (const resume of woken) resume()
  }
}
