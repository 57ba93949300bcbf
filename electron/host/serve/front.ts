// The HTTP front of `serve`: the built renderer, the exchange of the token for a cookie, and the
// sockets /rpc (host) and /rpc/shell. Every request is checked for Host; sockets for Origin and
// cookie too.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIP, type AddressInfo } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { WorkbenchError } from '../../contract'
import { webSocketProtocol, type Wire } from '../../contract/rpc'
import { webSocketServerWire } from '../../wire/web-socket-server'
import { serveStatic } from './static-files'

export interface FrontOptions {
  host: string
  port: number
  token: string
  rendererRoot: string
  version: string
  onHostWire(wire: Wire): void
  onShellWire(wire: Wire): void
}

export interface Front {
  readonly url: string
  readonly port: number
  readonly isLoopback: boolean
  close(): Promise<void>
}

const maxPayload = 8 * 1024 * 1024 + 1024

// Throws E_CONFLICT when the port is taken.
export async function startFront(options: FrontOptions): Promise<Front> {
  const front = new HttpFront(options)
  await front.listen()
  return front
}

class HttpFront implements Front {
  private readonly server: Server
  private readonly sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload, handleProtocols: () => webSocketProtocol })
  // Cookies of one host are shared by its ports, so the name carries the port.
  private readonly cookieSecret = randomBytes(32)

  constructor(private readonly options: FrontOptions) {
    this.server = createServer({ headersTimeout: 10_000, requestTimeout: 30_000, maxHeaderSize: 32 * 1024 }, (request, response) => void this.serve(request, response))
    this.server.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head))
  }

  get port(): number { return (this.server.address() as AddressInfo).port }
  get isLoopback(): boolean { return isLoopback(this.options.host) }
  get url(): string {
    const { host } = this.options
    const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
    return `http://${name.includes(':') ? `[${name}]` : name}:${this.port}`
  }

  async listen(): Promise<void> {
    const { host, port } = this.options
    this.server.listen(port, host)
    try {
      await once(this.server, 'listening')
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'EADDRINUSE') throw new WorkbenchError('E_CONFLICT', `The port ${port} is taken by another program.`, { hint: 'Choose another one with --port, or 0 for a free one.' })
      throw new WorkbenchError('E_IO', `The server cannot listen on ${host}:${port}: ${message}`, { hint: 'Check --host and --port.' })
    }
  }

  async close(): Promise<void> {
    for (const socket of this.sockets.clients) socket.terminate()
    this.server.closeAllConnections()
    await new Promise<void>(resolve => { this.server.close(() => resolve()) })
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split(/[?#]/, 1)[0] ?? '/'
    if (!this.hostAllowed(request)) return answer(response, 403, 'This address is not one this server answers to.\n')
    if (path === '/session' && request.method === 'POST') return this.openSession(request, response)
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, 'Only GET is answered here.\n')
    if (path === '/health') return answer(response, 200, `{"status":"ok","version":"${this.options.version}"}\n`, 'application/json')
    if (await serveStatic(this.options.rendererRoot, path, request, response)) return
    answer(response, 404, 'There is nothing here.\n')
  }

  // The token comes in a header, so that no other page can send it from a form.
  private openSession(request: IncomingMessage, response: ServerResponse): void {
    request.resume()
    const [, token] = /^Bearer (.{1,400})$/.exec(request.headers.authorization ?? '') ?? []
    if (!this.originAllowed(request)) return answer(response, 403, 'This page may not open a session.\n')
    if (token === undefined || !equal(token, this.options.token)) return answer(response, 401, 'This token is not the one that was printed at the start.\n')
    response.setHeader('set-cookie', `${this.cookieName}=${this.cookieValue}; Path=/; HttpOnly; SameSite=Strict`)
    answer(response, 204, '')
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => {})
    const accept = new Map([['/rpc', this.options.onHostWire], ['/rpc/shell', this.options.onShellWire]]).get(request.url ?? '')
    const refusal = !accept ? '404 Not Found'
      : !this.hostAllowed(request) || !this.originAllowed(request, true) ? '403 Forbidden'
        : !this.hasSession(request) ? '401 Unauthorized'
          : !offersProtocol(request) ? '426 Upgrade Required' : undefined
    if (!accept || refusal !== undefined) return void socket.end(`HTTP/1.1 ${refusal}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
    this.sockets.handleUpgrade(request, socket, head, client => accept(webSocketServerWire(client)))
  }

  private get cookieName(): string { return `moebius_${this.port}` }
  private get cookieValue(): string { return createHmac('sha256', this.cookieSecret).update(this.options.token).digest('base64url') }

  private hasSession(request: IncomingMessage): boolean {
    const cookies = (request.headers.cookie ?? '').split(';').map(cookie => cookie.trim())
    const given = cookies.find(cookie => cookie.startsWith(`${this.cookieName}=`))?.slice(this.cookieName.length + 1)
    return given !== undefined && equal(given, this.cookieValue)
  }

  // Names and addresses of this machine only: a foreign name that was pointed here is refused.
  private hostAllowed(request: IncomingMessage): boolean {
    const url = URL.parse(`http://${request.headers.host ?? ''}`)
    if (!url || Number(url.port || 80) !== this.port || url.username || url.pathname !== '/') return false
    const name = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
    if (name === 'localhost' || name.endsWith('.localhost') || isLoopback(name)) return true
    if (name === this.options.host.toLowerCase()) return true
    if (this.isLoopback) return false
    return name === hostname().toLowerCase() || (isIP(name) !== 0 && ownAddresses().has(name))
  }

  private originAllowed(request: IncomingMessage, required = false): boolean {
    const { origin, host } = request.headers
    return origin === undefined ? !required : origin === `http://${host}`
  }
}

function offersProtocol(request: IncomingMessage): boolean {
  return (request.headers['sec-websocket-protocol'] ?? '').split(',').some(name => name.trim() === webSocketProtocol)
}

function isLoopback(address: string): boolean { return address === 'localhost' || address === '::1' || /^127(\.\d{1,3}){3}$/.test(address) }

function ownAddresses(): Set<string> {
  return new Set(Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(({ address }) => address)))
}

// Compared by digest, so that neither length nor content shows in the time it takes.
function equal(a: string, b: string): boolean {
  const key = randomBytes(16)
  const digest = (text: string): Buffer => createHmac('sha256', key).update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff', 'cache-control': 'no-store', ...(status === 405 && { allow: 'GET, HEAD' }) })
  response.end(body)
}
