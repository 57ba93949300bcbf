// A dialect is a set of routes over the services plus its way to write errors. The server
// knows dialects only through these types; a further one is a further list of routes.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Scope, WorkbenchError } from '../contract'
import type { RestServices } from './services'

// One line of the request log. Bodies are never part of it.
export interface RequestLogEntry {
  at: number                  // milliseconds since 1970
  requestId: string
  method: string
  route: string               // the pattern, or the path when nothing matched
  status: number              // 499: the client went away
  durationMs: number
  tokenName: string
  model: string
  promptTokens: number
  cachedTokens: number
  generatedTokens: number
  timeToFirstTokenMs: number
  tokensPerSecond: number
  stopReason: string
}

export interface RequestContext {
  request: IncomingMessage
  response: ServerResponse
  services: RestServices
  requestId: string
  // What the pattern's :name parts matched.
  params: Record<string, string>
  // The parsed JSON body; undefined for routes without one.
  body: unknown
  // Fires when the client goes away or the server stops.
  signal: AbortSignal
  log: RequestLogEntry
  version: string
  keepAliveMs: number
}

export interface Route {
  method: 'GET' | 'POST' | 'DELETE'
  // Segments; ':name' takes one segment, ':name*' the rest of the path.
  path: string
  // undefined: open to everybody who passes the Host and Origin checks.
  scope: Scope | undefined
  handle(context: RequestContext): void | Promise<void>
}

export interface Dialect {
  name: string
  routes: readonly Route[]
  errorBody(error: WorkbenchError): unknown
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...headers, 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

// Returns the parameters when the path fits the pattern. Bad percent escapes fit nothing.
export function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split('/')
  const given = path.split('/')
  const params: Record<string, string> = {}
  for (const [i, part] of wanted.entries()) {
    const rest = part.endsWith('*')
    const value = rest ? given.slice(i).join('/') : given[i]
    if (value === undefined) return undefined
    if (!part.startsWith(':')) {
      if (part !== value) return undefined
      continue
    }
    try {
      params[part.slice(1).replace('*', '')] = decodeURIComponent(value)
    } catch {
      return undefined
    }
    if (value === '') return undefined
    if (rest) return params
  }
  return given.length === wanted.length ? params : undefined
}
