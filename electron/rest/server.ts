// The REST server: node:http, a table of routes, and the checks every request passes in this
// order: size, Host, Origin, token and scope, content type, then the dialect's own schema.
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ServerStatus } from '../contract'
import { WorkbenchError } from '../contract'
import { type Dialect, matchPath, type RequestContext, type RequestLogEntry, type Route, sendJson } from './dialect'
import { asWorkbenchError, errorHeaders, HttpError, httpForm, openAiErrorBody } from './errors'
import { authenticate, checkContentType, checkDeclaredSize, checkHost, checkOrigin, checkScope, maxBodyBytes, preflightHeaders, readJson } from './guards'
import { close, listen, portError } from './listen'
import { nearestNames } from './nearest'
import { openAiDialect } from './openai/dialect'
import type { RestServices } from './services'
import { statusDialect } from './status-routes'

export interface RestServerOptions {
  port: number
  // Addresses to bind. The default is this machine only; others need a token.
  hosts?: readonly string[]
  requireToken?: boolean
  allowedOrigins?: readonly string[]
  allowedHosts?: readonly string[]
  version?: string
  dialects?: readonly Dialect[]
  maxBodyBytes?: number
  keepAliveMs?: number
  headersTimeoutMs?: number
  onRequest?: (entry: RequestLogEntry) => void
  // Unexpected exceptions, for the program's log.
  onError?: (error: unknown) => void
  onStatus?: (status: ServerStatus) => void
}

export interface RestServer {
  start(): Promise<ServerStatus>
  // Cancels what runs and closes every connection.
  stop(): Promise<ServerStatus>
  status(): ServerStatus
}

const loopback = ['127.0.0.1', '::1'] as const
const defaultKeepAliveMs = 15_000
const defaultHeadersTimeoutMs = 10_000

export function createRestServer(services: RestServices, options: RestServerOptions): RestServer {
  return new NodeRestServer(services, options)
}

class NodeRestServer implements RestServer {
  private servers: Server[] = []
  private port: number
  private state: ServerStatus['state'] = 'stopped'
  private error: WorkbenchError | undefined
  private requests = 0
  private readonly active = new Set<AbortController>()
  private readonly routes: { route: Route, dialect: Dialect }[]
  private readonly hosts: readonly string[]
  private readonly requireToken: boolean

  constructor(private readonly services: RestServices, private readonly options: RestServerOptions) {
    this.port = options.port
    this.hosts = options.hosts ?? loopback
    // A server the network can reach is never open.
    this.requireToken = (options.requireToken ?? false) || this.hosts.some(host => !(loopback as readonly string[]).includes(host))
    this.routes = [...options.dialects ?? [openAiDialect], statusDialect].flatMap(dialect => dialect.routes.map(route => ({ route, dialect })))
  }

  status(): ServerStatus {
    return {
      state: this.state, host: this.hosts[0] ?? '', port: this.port,
      urls: this.state === 'running' ? this.hosts.map(host => `http://${host.includes(':') ? `[${host}]` : host}:${this.port}`) : [],
      requireToken: this.requireToken, requests: this.requests, activeRequests: this.active.size,
      ...(this.error && { error: this.error.toShape() }),
    }
  }

  async start(): Promise<ServerStatus> {
    if (this.state === 'running' || this.state === 'starting') return this.status()
    this.error = undefined
    this.change('starting')
    this.port = this.options.port
    for (const [i, host] of this.hosts.entries()) {
      const server = this.createHttpServer()
      try {
        this.port = await listen(server, host, this.port)
        this.servers.push(server)
      } catch (error) {
        // Machines without IPv6 serve on IPv4 alone.
        const code = (error as NodeJS.ErrnoException).code
        if (i > 0 && host === '::1' && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) continue
        await this.closeAll()
        this.error = await portError(error, host, this.port)
        this.change('failed')
        throw this.error
      }
    }
    this.change('running')
    return this.status()
  }

  async stop(): Promise<ServerStatus> {
    for (const controller of this.active) controller.abort()
    await this.closeAll()
    this.change('stopped')
    return this.status()
  }

  private async closeAll(): Promise<void> {
    const servers = this.servers
    this.servers = []
    await Promise.all(servers.map(close))
  }

  private change(state: ServerStatus['state']): void {
    this.state = state
    this.options.onStatus?.(this.status())
  }

  private createHttpServer(): Server {
    const headersTimeout = this.options.headersTimeoutMs ?? defaultHeadersTimeoutMs
    const server = createServer({
      headersTimeout, requestTimeout: 12 * headersTimeout, keepAliveTimeout: 10_000, maxHeaderSize: 32 * 1024,
      // How often Node looks for connections that are over time.
      connectionsCheckingInterval: headersTimeout / 5,
    })
    server.on('request', (request, response) => { void this.serve(request, response) })
    server.on('clientError', answerBrokenRequest)
    return server
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = performance.now()
    const controller = new AbortController()
    const requestId = randomUUID().replaceAll('-', '')
    const log: RequestLogEntry = {
      at: Date.now(), requestId, method: request.method ?? '', route: pathOf(request), status: 0, durationMs: 0, tokenName: '', model: '',
      promptTokens: 0, cachedTokens: 0, generatedTokens: 0, timeToFirstTokenMs: 0, tokensPerSecond: 0, stopReason: '',
    }
    this.active.add(controller)
    this.requests++
    response.setHeader('x-request-id', requestId)
    response.on('close', () => { if (!response.writableFinished) controller.abort() })
    const found = this.findRoute(request)
    this.options.onStatus?.(this.status())
    try {
      await this.handle(found, { request, response, requestId, log, params: found.params, signal: controller.signal, body: undefined })
    } catch (error) {
      this.answerError(error, found.dialect, response, controller.signal, log)
    } finally {
      this.active.delete(controller)
      log.status = controller.signal.aborted && !response.writableFinished ? 499 : response.statusCode
      log.durationMs = performance.now() - started
      this.options.onRequest?.(log)
      this.options.onStatus?.(this.status())
    }
  }

  private async handle(found: FoundRoute, context: Omit<RequestContext, 'services' | 'version' | 'keepAliveMs'>): Promise<void> {
    const { request, response, log } = context
    const limit = this.options.maxBodyBytes ?? maxBodyBytes
    checkDeclaredSize(request.headers, limit)
    checkHost(request.headers, this.options.allowedHosts ?? [])
    const corsHeaders = checkOrigin(request.headers, this.options.allowedOrigins ?? [])
    for (const [name, value] of Object.entries(corsHeaders)) response.setHeader(name, value)
    if (request.method === 'OPTIONS' && found.methods.length > 0) {
      response.writeHead(204, { allow: [...found.methods, 'OPTIONS'].join(', '), ...(request.headers.origin !== undefined && preflightHeaders(request.headers, found.methods)) })
      response.end()
      return
    }
    const scope = found.route ? found.route.scope : 'infer'
    if (scope !== undefined) {
      const caller = authenticate(request.headers, this.services.tokens(), this.requireToken)
      log.tokenName = caller.name
      if (caller.name !== '') this.services.didUseToken?.(caller.name)
      checkScope(caller, scope)
    }
    if (!found.route) throw this.noRoute(request, found)
    log.route = found.route.path
    const full: RequestContext = { ...context, services: this.services, version: this.options.version ?? '0', keepAliveMs: this.options.keepAliveMs ?? defaultKeepAliveMs }
    if (found.route.method === 'POST') {
      checkContentType(request.headers)
      full.body = await readJson(request, limit)
    }
    await found.route.handle(full)
  }

  private findRoute(request: IncomingMessage): FoundRoute {
    const path = pathOf(request)
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const matching = this.routes.flatMap(({ route, dialect }) => {
      const params = matchPath(route.path, path)
      return params ? [{ route, dialect, params }] : []
    })
    const hit = matching.find(({ route }) => route.method === method)
    const methods = [...new Set(matching.map(({ route }) => route.method))]
    return { route: hit?.route, dialect: hit?.dialect ?? matching[0]?.dialect, params: hit?.params ?? {}, methods }
  }

  private noRoute(request: IncomingMessage, found: FoundRoute): WorkbenchError {
    const path = pathOf(request)
    if (found.methods.length > 0) {
      return new HttpError(405, 'E_BAD_REQUEST', `${path} does not take ${request.method}; it takes ${found.methods.join(', ')}.`, { allow: found.methods.join(', ') })
    }
    const near = nearestNames(path, [...new Set(this.routes.map(({ route }) => route.path))])
    return new WorkbenchError('E_NOT_FOUND', `There is no ${path.slice(0, 200)} here. Nearest: ${near.join(', ')}.`)
  }

  private answerError(error: unknown, dialect: Dialect | undefined, response: ServerResponse, signal: AbortSignal, log: RequestLogEntry): void {
    const failure = asWorkbenchError(error)
    if (failure !== error && !signal.aborted) this.options.onError?.(error)
    if (log.stopReason === '') log.stopReason = signal.aborted ? 'cancelled' : failure.code
    if (response.headersSent || response.destroyed) {
      response.end()
      return
    }
    // The rest of an unread body would be taken for the next request.
    sendJson(response, httpForm(failure).status, (dialect?.errorBody ?? openAiErrorBody)(failure), { ...errorHeaders(failure), ...(!response.req.complete && { connection: 'close' }) })
  }
}

interface FoundRoute { route: Route | undefined, dialect: Dialect | undefined, params: Record<string, string>, methods: string[] }

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split(/[?#]/, 1)[0] ?? '/'
}

// What Node could not parse as HTTP, or waited too long for.
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const [status, message] = error.code === 'HPE_HEADER_OVERFLOW' ? ['431 Request Header Fields Too Large', 'The request headers are too large.']
    : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? ['408 Request Timeout', 'The request did not arrive in time.']
      : ['400 Bad Request', 'This is not a valid HTTP request.']
  const body = JSON.stringify({ error: { message, type: 'invalid_request_error', param: null, code: null } })
  socket.end(`HTTP/1.1 ${status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)
}
