// Wire over a message port: the browser's, Electron's MessagePortMain, or node:worker_threads'.
import { WireInbox, type Frame, type Wire } from './wire'

interface Message { data: unknown }

export interface EventPort {
  postMessage(frame: unknown): void
  addEventListener(type: 'message', listener: (event: Message) => void): void
  addEventListener(type: 'close', listener: () => void): void
  start?(): void
  close(): void
}

export interface EmitterPort {
  postMessage(frame: unknown): void
  on(type: 'message', listener: (event: Message) => void): unknown
  on(type: 'close', listener: () => void): unknown
  start?(): void
  close(): void
}

export function messagePortWire(port: EventPort | EmitterPort): Wire {
  const inbox = new WireInbox()
  const receive = (event: Message): void => {
    const frame = toFrame(event.data)
    if (frame !== undefined) inbox.receive(frame)
  }
  const closed = (): void => inbox.finish('the other side is gone')
  if ('addEventListener' in port) {
    port.addEventListener('message', receive)
    port.addEventListener('close', closed)
  } else {
    port.on('message', receive)
    port.on('close', closed)
  }
  port.start?.()
  return {
    send(frame) { if (!inbox.closed) port.postMessage(frame) },
    onFrame: listener => inbox.onFrame(listener),
    onClose: listener => inbox.onClose(listener),
    close(reason = 'closed') {
      if (inbox.closed) return
      inbox.finish(reason)
      port.close()
    },
  }
}

function toFrame(data: unknown): Frame | undefined {
  return typeof data === 'string' || data instanceof Uint8Array ? data : undefined
}
