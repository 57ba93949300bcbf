// The window's end of a WebSocket. Its other end is electron/wire/web-socket-server.ts.
import { WireInbox, type Wire } from './wire'

interface Socket {
  binaryType: string
  readyState: number
  send(data: string | Uint8Array): void
  close(code?: number, reason?: string): void
  addEventListener(type: string, listener: (event: { data?: unknown, code?: number, reason?: string }) => void): void
}
declare const WebSocket: new (url: string, protocols: string[]) => Socket

export const webSocketProtocol = 'moebius.1'
const openState = 1

// Resolves once the socket is open; rejects when it cannot be opened.
export function webSocketWire(url: string): Promise<Wire> {
  const socket = new WebSocket(url, [webSocketProtocol])
  socket.binaryType = 'arraybuffer'
  const inbox = new WireInbox()
  socket.addEventListener('message', ({ data }) => {
    if (typeof data === 'string') inbox.receive(data)
    else if (data instanceof ArrayBuffer) inbox.receive(new Uint8Array(data))
  })
  const wire: Wire = {
    heartbeat: true,
    send(frame) { if (!inbox.closed && socket.readyState === openState) socket.send(frame) },
    onFrame: listener => inbox.onFrame(listener),
    onClose: listener => inbox.onClose(listener),
    close(reason = 'closed') {
      inbox.finish(reason)
      // The protocol allows 123 bytes of reason.
      socket.close(1000, reason.slice(0, 40))
    },
  }
  return new Promise((resolve, reject) => {
    socket.addEventListener('open', () => resolve(wire))
    socket.addEventListener('close', ({ code, reason }) => {
      const text = reason || `the connection ended (${String(code)})`
      inbox.finish(text)
      reject(new Error(text))
    })
  })
}
