// A wire carries frames both ways, in order, and says when it is gone. What runs over it is in
// frames.ts; carriers are message-port.ts, web-socket.ts and the memory pair below.
import type { Off } from './runtime'

export type Frame = string | Uint8Array

export interface Wire {
  send(frame: Frame): void
  // One listener each; frames and the close that arrive before are kept for it.
  onFrame(listener: (frame: Frame) => void): Off
  onClose(listener: (reason: string) => void): Off
  close(reason?: string): void
  // True when a dead peer is noticed only by silence.
  readonly heartbeat?: boolean
}

// What every carrier needs: early frames are queued, close is told exactly once.
export class WireInbox {
  private listener: ((frame: Frame) => void) | undefined
  private closeListener: ((reason: string) => void) | undefined
  private early: Frame[] = []
  private closeReason: string | undefined

  get closed(): boolean { return this.closeReason !== undefined }

  receive(frame: Frame): void {
    if (this.closed) return
    if (this.listener) this.listener(frame)
    else this.early.push(frame)
  }

  finish(reason: string): void {
    if (this.closed) return
    this.closeReason = reason
    this.closeListener?.(reason)
  }

  onFrame(listener: (frame: Frame) => void): Off {
    this.listener = listener
    for (const frame of this.early.splice(0)) listener(frame)
    return () => { if (this.listener === listener) this.listener = undefined }
  }

  onClose(listener: (reason: string) => void): Off {
    this.closeListener = listener
    if (this.closeReason !== undefined) listener(this.closeReason)
    return () => { if (this.closeListener === listener) this.closeListener = undefined }
  }
}

// Two ends in one process, for tests and for a shell that serves its own window.
export function memoryWirePair(): [Wire, Wire] {
  const inboxes = [new WireInbox(), new WireInbox()] as const
  // Delivery is asynchronous and in order, as on every other wire.
  let queue = Promise.resolve()
  const deliver = (work: () => void): void => { queue = queue.then(work) }
  const end = (mine: WireInbox, theirs: WireInbox): Wire => ({
    send(frame) {
      if (mine.closed) return
      const copy = typeof frame === 'string' ? frame : frame.slice()
      deliver(() => theirs.receive(copy))
    },
    onFrame: listener => mine.onFrame(listener),
    onClose: listener => mine.onClose(listener),
    close(reason = 'closed') {
      if (mine.closed) return
      mine.finish(reason)
      deliver(() => theirs.finish(reason))
    },
  })
  return [end(inboxes[0], inboxes[1]), end(inboxes[1], inboxes[0])]
}
