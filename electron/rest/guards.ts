// Who may talk to the server: Host allow-list against DNS rebinding, exact origins against
// other web sites, tokens with scopes, JSON bodies only. Each guard throws or lets pass.
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { type Scope, WorkbenchError } from '../contract'
import { HttpError } from './errors'
import type { RestToken } from './services'

// Loopback, private and link-local addresses. An IP literal cannot be rebound by DNS.
const privateAddresses = new BlockList()
for (const [address, prefix] of [['127.0.0.0', 8], ['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['169.254.0.0', 16]] as const) {
  privateAddresses.addSubnet(address, prefix, 'ipv4')
}
for (const [address, prefix] of [['::1', 128], ['fc00::', 7], ['fe80::', 10]] as const) privateAddresses.addSubnet(address, prefix, 'ipv6')

// The name part of a Host header, lower case, without port, brackets and final dot.
export function hostName(header: string): string {
  const bracketed = /^\[([0-9a-f:.]+)\](:\d+)?$/i.exec(header)
  if (bracketed?.[1]) return bracketed[1].toLowerCase()
  return header.toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '')
}

export function isAllowedHost(header: string | undefined, extraNames: readonly string[]): boolean {
  if (!header) return false
  const name = hostName(header)
  const family = isIP(name)
  if (family !== 0) {
    return privateAddresses.check(name, family === 6 ? 'ipv6' : 'ipv4') || ownAddresses().includes(name)
  }
  const machine = hostname().toLowerCase()
  return name === 'localhost' || name.endsWith('.localhost') || name === machine || name === `${machine}.local`
    || extraNames.some(extra => extra.toLowerCase() === name)
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap(entries => entries ?? []).map(entry => entry.address.toLowerCase())
}

export function checkHost(headers: IncomingHttpHeaders, extraNames: readonly string[]): void {
  if (isAllowedHost(headers.host, extraNames)) return
  throw new WorkbenchError('E_HOST', `This server does not answer for the host name '${headers.host ?? ''}'.`, {
    hint: 'Use localhost or the machine\'s address, or add the name in the server settings.',
  })
}

// Returns the headers that let an allowed web page read the answer; empty for other clients.
export function checkOrigin(headers: IncomingHttpHeaders, allowedOrigins: readonly string[]): Record<string, string> {
  const { origin } = headers
  if (origin !== undefined && allowedOrigins.includes(origin)) {
    return { 'access-control-allow-origin': origin, 'access-control-expose-headers': 'x-request-id, retry-after', vary: 'Origin' }
  }
  const site = headers['sec-fetch-site']
  if (site === 'same-origin' || site === 'none') return {}
  if (origin === undefined && site === undefined) return {}
  throw new WorkbenchError('E_ORIGIN', `Web pages of ${origin ?? 'another site'} may not use this server.`, {
    hint: 'Add the exact origin in the server settings when you trust the page.',
  })
}

export function preflightHeaders(headers: IncomingHttpHeaders, methods: readonly string[]): Record<string, string> {
  return {
    'access-control-allow-methods': methods.join(', '),
    'access-control-allow-headers': 'authorization, content-type, x-api-key, anthropic-version, anthropic-beta',
    'access-control-max-age': '600',
    ...(headers['access-control-request-private-network'] === 'true' && { 'access-control-allow-private-network': 'true' }),
  }
}

export interface Caller { name: string, scopes: readonly Scope[] }

// With tokens required, finds the caller's; without, everybody may infer whatever key they send.
export function authenticate(headers: IncomingHttpHeaders, tokens: readonly RestToken[], requireToken: boolean, now = Date.now()): Caller {
  if (!requireToken) return { name: '', scopes: ['infer', 'manage', 'train'] }
  const presented = presentedToken(headers)
  if (presented === undefined) {
    throw new WorkbenchError('E_AUTH', 'This server needs a token: send it as "Authorization: Bearer …" or "x-api-key".', { hint: 'Create one in the server view.' })
  }
  const digest = createHash('sha256').update(presented).digest()
  // Every stored hash is compared, so that time tells nothing about which one is near.
  let found: RestToken | undefined
  for (const token of tokens) {
    const stored = Buffer.from(token.sha256, 'hex')
    if (stored.length === digest.length && timingSafeEqual(stored, digest)) found = token
  }
  if (!found || (found.expiresAt !== undefined && found.expiresAt <= now)) {
    throw new WorkbenchError('E_AUTH', found ? `The token '${found.name}' has expired.` : 'This token is not known here.', { hint: 'Create a new one in the server view.' })
  }
  return { name: found.name, scopes: found.scopes }
}

function presentedToken(headers: IncomingHttpHeaders): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
  const key = headers['x-api-key']
  return bearer ?? (typeof key === 'string' && key !== '' ? key : undefined)
}

export function checkScope(caller: Caller, scope: Scope): void {
  if (caller.scopes.includes(scope)) return
  throw new WorkbenchError('E_SCOPE', `The token '${caller.name}' may not do this: it lacks the scope '${scope}'.`)
}

// A text/plain POST needs no preflight, so a foreign page could send one; JSON cannot be sent that way.
export function checkContentType(headers: IncomingHttpHeaders): void {
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (type === 'application/json') return
  throw new HttpError(415, 'E_BAD_REQUEST', `The request body must be application/json${type ? `, not ${type}` : ''}.`)
}

export const maxBodyBytes = 64 * 1024 * 1024
const maxJsonDepth = 32

export function checkDeclaredSize(headers: IncomingHttpHeaders, limit: number): void {
  if (Number(headers['content-length'] ?? 0) > limit) throw tooLarge(limit)
}

// Reads and parses the body, giving up at the limit.
export async function readJson(request: IncomingMessage, limit: number): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limit) throw tooLarge(limit)
    chunks.push(chunk)
  }
  const text = new TextDecoder('utf-8', { fatal: true })
  let value: unknown
  try {
    value = JSON.parse(text.decode(Buffer.concat(chunks)))
  } catch (error) {
    throw new WorkbenchError('E_BAD_REQUEST', `The request body is not valid JSON: ${error instanceof Error ? error.message : 'unreadable'}.`)
  }
  if (depthExceeds(value, maxJsonDepth)) throw new WorkbenchError('E_BAD_REQUEST', `The request body nests deeper than ${maxJsonDepth} levels.`)
  return value
}

function tooLarge(limit: number): WorkbenchError {
  return new WorkbenchError('E_TOO_LARGE', `The request body is larger than ${limit} bytes.`)
}

function depthExceeds(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (depth === 0) return true
  return Object.values(value).some(child => depthExceeds(child, depth - 1))
}
