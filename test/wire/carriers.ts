// The three wires the conformance suite runs over. connect() opens one more connection and gives
// both ends; cut() loses it as a crash would: no closing words from either side's rpc.
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MessageChannel } from 'node:worker_threads'
import { WebSocketServer, type WebSocket as ServerSocket } from 'ws'
import { memoryWirePair, messagePortWire, webSocketWire, type Wire } from '../../electron/contract/rpc'
import { webSocketServerWire } from '../../electron/wire/web-socket-server'

export interface Link { client: Wire, server: Wire, cut(): void }
export interface Carrier {
  name: string
  connect(): Promise<Link>
  close(): Promise<void>
}

export const carriers: (() => Promise<Carrier>)[] = [memoryCarrier, messagePortCarrier, webSocketCarrier]

function memoryCarrier(): Promise<Carrier> {
  return Promise.resolve({
    name: 'memory',
    connect: () => {
      const [client, server] = memoryWirePair()
      return Promise.resolve({ client, server, cut: () => { server.close('cut') } })
    },
    close: () => Promise.resolve(),
  })
}

function messagePortCarrier(): Promise<Carrier> {
  const open: { close(): void }[] = []
  return Promise.resolve({
    name: 'message port',
    connect: () => {
      const { port1, port2 } = new MessageChannel()
      open.push(port1)
      return Promise.resolve({ client: messagePortWire(port1), server: messagePortWire(port2), cut: () => { port2.close() } })
    },
    close: () => {
      open.forEach(port => port.close())
      return Promise.resolve()
    },
  })
}

async function webSocketCarrier(): Promise<Carrier> {
  const http = createHttpServer()
  const sockets = new WebSocketServer({ server: http, perMessageDeflate: false, maxPayload: 16 * 1024 * 1024 })
  sockets.setMaxListeners(0)
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  let nConnections = 0
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`
  return {
    name: 'websocket',
    connect: async () => {
      const path = `/rpc?${nConnections++}`
      const accepted = new Promise<ServerSocket>(resolve => {
        sockets.on('connection', (socket, request) => { if (request.url === path) resolve(socket) })
      })
      const client = await webSocketWire(`${url}${path}`)
      const socket = await accepted
      return { client, server: webSocketServerWire(socket), cut: () => { socket.terminate() } }
    },
    close: async () => {
      for (const socket of sockets.clients) socket.terminate()
      await new Promise(resolve => { http.close(resolve) })
    },
  }
}
