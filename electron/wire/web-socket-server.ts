// The host's end of a WebSocket, as a wire.
import type { WebSocket, RawData } from 'ws'
import type { Wire } from '../contract/rpc'
import { WireInbox } from '../contract/rpc/wire'

// Above this much unsent data a client is too slow or gone, and is cut off.
const maxBufferedBytes = 64 * 1024 * 1024

export function webSocketServerWire(socket: WebSocket): Wire {
  const inbox = new WireInbox()
  socket.on('message', (data: RawData, isBinary: boolean) => {
    const bytes = Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? Buffer.from(data) : data
    inbox.receive(isBinary ? new Uint8Array(bytes) : bytes.toString('utf8'))
  })
  socket.on('close', (code, reason) => inbox.finish(reason.toString() || `the connection ended (${code})`))
  socket.on('error', error => inbox.finish(error.message))
  const wire: Wire = {
    heartbeat: true,
    send(frame) {
      if (inbox.closed) return
      if (socket.bufferedAmount > maxBufferedBytes) return wire.close('the client does not read')
      socket.send(frame)
    },
    onFrame: listener => inbox.onFrame(listener),
    onClose: listener => inbox.onClose(listener),
    close(reason = 'closed') {
      if (inbox.closed) return
      inbox.finish(reason)
      socket.close(1000, reason.slice(0, 40))
      // A peer that does not answer the closing handshake is not waited for.
      setTimeout(() => socket.terminate(), 2000).unref()
    },
  }
  return wire
}
