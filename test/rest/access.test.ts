// Who may talk to the server: Host, Origin, tokens, content types, sizes, broken HTTP.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createServer } from 'node:http'
import { hostname } from 'node:os'
import { createRestServer, type RestServer, type RestServerOptions } from '../../electron/rest'
import { authenticate, isAllowedHost } from '../../electron/rest/guards'
import { FakeServices, manageToken, storedToken, token } from './fake-services'
import { post, send, sendBytes } from './raw-http'

const services = new FakeServices()
const running: RestServer[] = []
let open: number
let guarded: number

async function serve(options: Partial<RestServerOptions> = {}): Promise<number> {
  const server = createRestServer(services, { port: 0, ...options })
  running.push(server)
  return (await server.start()).port
}

beforeAll(async () => {
  services.storedTokens = [storedToken('laptop', token), storedToken('admin', manageToken, ['manage']), storedToken('old', 'mb-old', ['infer'], 1000)]
  open = await serve({ allowedOrigins: ['https://app.example'], allowedHosts: ['box.example'], maxBodyBytes: 100_000 })
  guarded = await serve({ requireToken: true, allowedOrigins: ['https://app.example'] })
})
afterAll(() => Promise.all(running.map(server => server.stop())))

const chat = { model: 'demo', messages: [{ role: 'user', content: 'hi' }] }
const errorOf = (text: string): { type: string, code: string | null, message: string } => (JSON.parse(text) as { error: { type: string, code: string | null, message: string } }).error

describe('Host', () => {
  const hosts: [string, boolean][] = [
    ['localhost', true], ['localhost:7117', true], ['LOCALHOST.', true], ['a.localhost:1', true], ['127.0.0.1:7117', true], ['127.9.9.9', true], ['[::1]:7117', true],
    ['10.1.2.3', true], ['192.168.0.9:80', true], ['172.20.1.1', true], ['[fd00::1]', true], [hostname(), true], ['box.example:7117', true],
    ['', false], ['evil.example', false], ['localhost.evil.example', false], ['127.0.0.1.evil.example', false], ['8.8.8.8', false], ['172.32.0.1', false], ['[2001:db8::1]', false],
    ['evil.example:localhost', false], ['0x7f000001', false], ['localhost@evil.example', false],
  ]
  it.each(hosts)('%s is allowed: %s', (host, allowed) => {
    expect(isAllowedHost(host, ['box.example'])).toBe(allowed)
  })

  it('is checked before everything else, on every route', async () => {
    for (const path of ['/', '/health', '/v1/models', '/nothing']) {
      const answer = await send(guarded, { path, headers: { host: 'evil.example' } })
      expect([answer.status, errorOf(answer.text).type]).toEqual([403, 'permission_error'])
    }
  })
})

describe('Origin', () => {
  const matrix: [Record<string, string>, number][] = [
    [{}, 200], [{ origin: 'https://app.example' }, 200], [{ origin: 'https://app.example', 'sec-fetch-site': 'cross-site' }, 200], [{ 'sec-fetch-site': 'none' }, 200],
    [{ origin: 'http://localhost:7117', 'sec-fetch-site': 'same-origin' }, 200], [{ origin: 'https://evil.example' }, 403], [{ origin: 'null' }, 403], [{ origin: 'http://app.example' }, 403],
    [{ origin: 'https://app.example.evil' }, 403], [{ 'sec-fetch-site': 'cross-site' }, 403], [{ 'sec-fetch-site': 'same-site' }, 403], [{ origin: 'http://localhost:3000', 'sec-fetch-site': 'same-site' }, 403],
  ]
  it.each(matrix)('%j -> %i', async (headers, status) => {
    const list = await send(open, { path: '/v1/models', headers })
    const answer = await post(open, '/v1/chat/completions', chat, headers)
    expect([list.status, answer.status]).toEqual([status, status])
    const allowed = headers.origin === 'https://app.example'
    expect(list.headers['access-control-allow-origin']).toBe(allowed ? 'https://app.example' : undefined)
    expect(list.headers['access-control-allow-credentials']).toBeUndefined()
    if (allowed) expect(list.headers.vary).toContain('Origin')
  })

  it('answers a preflight without a token only for allowed origins', async () => {
    const ask = (origin: string) => send(guarded, { method: 'OPTIONS', path: '/v1/chat/completions', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' } })
    const allowed = await ask('https://app.example')
    expect(allowed.status).toBe(204)
    expect(allowed.headers).toMatchObject({ 'access-control-allow-origin': 'https://app.example', 'access-control-allow-methods': 'POST' })
    expect(allowed.headers['access-control-allow-headers']).toContain('authorization')
    const refused = await ask('https://evil.example')
    expect(refused.status).toBe(403)
    expect(refused.headers['access-control-allow-origin']).toBeUndefined()
  })

  it('lets an allowed page read errors as well', async () => {
    const answer = await send(guarded, { path: '/v1/models', headers: { origin: 'https://app.example' } })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([401, 'https://app.example'])
  })
})

describe('tokens', () => {
  const cases: [Record<string, string>, number][] = [
    [{}, 401], [{ authorization: `Bearer ${token}` }, 200], [{ 'x-api-key': token }, 200], [{ authorization: `bearer ${token}` }, 200], [{ authorization: 'Bearer wrong' }, 401],
    [{ authorization: `Basic ${token}` }, 401], [{ authorization: 'Bearer mb-old' }, 401], [{ authorization: `Bearer ${manageToken}` }, 403], [{ authorization: `Bearer ${token}x` }, 401], [{ 'x-api-key': '' }, 401],
  ]
  it.each(cases)('%j -> %i', async (headers, status) => {
    const answer = await send(guarded, { path: '/v1/models', headers })
    expect(answer.status).toBe(status)
    if (status === 401) expect([errorOf(answer.text).code, answer.headers['www-authenticate']]).toEqual(['invalid_api_key', 'Bearer'])
  })

  it('are not needed on /, /health; unknown routes reveal nothing', async () => {
    expect((await send(guarded, { path: '/' })).text).toBe('Moebius is running')
    expect(JSON.parse((await send(guarded, { path: '/health' })).text)).toEqual({ status: 'ok' })
    expect((await send(guarded, { path: '/v1/secret' })).status).toBe(401)
  })

  it('are reported as used', async () => {
    services.used.length = 0
    await send(guarded, { path: '/v1/models', headers: { authorization: `Bearer ${token}` } })
    expect(services.used).toEqual(['laptop'])
  })

  it('are not looked at when none is required', async () => {
    expect((await send(open, { path: '/v1/models', headers: { authorization: 'Bearer whatever' } })).status).toBe(200)
    expect(authenticate({}, [], false).scopes).toContain('manage')
  })

  it('are forced on addresses the network reaches', () => {
    expect(createRestServer(services, { port: 0, hosts: ['0.0.0.0'], requireToken: false }).status().requireToken).toBe(true)
  })
})

describe('bodies', () => {
  const types: [string | undefined, number][] = [['application/json', 200], ['application/json; charset=utf-8', 200], ['APPLICATION/JSON', 200], ['text/plain', 415], [undefined, 415], ['application/x-www-form-urlencoded', 415], ['application/jsonp', 415]]
  it.each(types)('content type %s -> %i', async (type, status) => {
    const answer = await send(open, { method: 'POST', path: '/v1/chat/completions', headers: { ...(type !== undefined && { 'content-type': type }) }, body: JSON.stringify(chat) })
    expect(answer.status).toBe(status)
  })

  it('refuses what is not JSON, too deep or too large', async () => {
    const raw = (body: string, headers: Record<string, string> = {}) => send(open, { method: 'POST', path: '/v1/chat/completions', headers: { 'content-type': 'application/json', ...headers }, body })
    expect(await raw('{"model":')).toMatchObject({ status: 400, text: expect.stringContaining('not valid JSON') })
    expect(await raw('[]')).toMatchObject({ status: 400, text: expect.stringContaining('JSON object') })
    expect(await raw('')).toMatchObject({ status: 400 })
    expect(await raw('{"a":' + '['.repeat(50) + ']'.repeat(50) + '}')).toMatchObject({ status: 400, text: expect.stringContaining('32 levels') })
    expect(await raw('{"__proto__": {"x": 1}, "constructor": 1}')).toMatchObject({ status: 400, text: expect.stringContaining('Unknown parameter') })
    expect(await raw(JSON.stringify({ ...chat, user: 'u'.repeat(200_000) }))).toMatchObject({ status: 413 })
    const chunked = await sendBytes(open, `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${'8000\r\n' + 'a'.repeat(0x8000) + '\r\n'}`.concat(('8000\r\n' + 'a'.repeat(0x8000) + '\r\n').repeat(4)))
    expect(chunked).toMatch(/^HTTP\/1.1 413 /)
  })
})

describe('routes', () => {
  it('names the nearest route', async () => {
    const answer = await send(open, { path: '/v1/model' })
    expect([answer.status, errorOf(answer.text).message]).toEqual([404, expect.stringContaining('Nearest: /v1/models,')])
    expect((await post(open, '/v1/chat/completion', chat)).text).toContain('/v1/chat/completions')
  })

  it('tells which methods a route takes', async () => {
    const answer = await send(open, { path: '/v1/chat/completions' })
    expect([answer.status, answer.headers.allow]).toEqual([405, 'POST'])
    expect((await send(open, { method: 'DELETE', path: '/v1/models' })).status).toBe(405)
    expect((await send(open, { method: 'HEAD', path: '/' })).status).toBe(200)
  })

  it('survives odd paths', async () => {
    for (const path of ['//', '/v1/models/%', '/v1/models/..%2f..%2fetc', '/%00', `/${'a'.repeat(5000)}`, '/v1/models/__proto__', '/v1/models?x=1']) {
      const { status } = await send(open, { path })
      expect([200, 404], path).toContain(status)
    }
  })

  it('answers broken HTTP in JSON', async () => {
    expect(await sendBytes(open, 'NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [\s\S]*not a valid HTTP request/)
    expect(await sendBytes(open, `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`)).toMatch(/^HTTP\/1.1 431 /)
    expect(await sendBytes(open, 'GET / HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /)
  })
})

describe('life', () => {
  it('gives up on requests that do not arrive', async () => {
    const port = await serve({ headersTimeoutMs: 100 })
    expect(await sendBytes(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n')).toMatch(/^HTTP\/1.1 408 [\s\S]*did not arrive in time/)
    expect(await sendBytes(port, 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{')).toMatch(/^HTTP\/1.1 408 /)
  })

  it('names the next free port when its own is taken', async () => {
    const blocker = createServer()
    const port = await new Promise<number>(resolve => blocker.listen(0, '127.0.0.1', () => resolve((blocker.address() as { port: number }).port)))
    const server = createRestServer(services, { port })
    await expect(server.start()).rejects.toMatchObject({ code: 'E_CONFLICT', message: `Port ${port} is used by another program.`, hint: expect.stringMatching(/^Port \d+ is free\.$/) })
    expect(server.status()).toMatchObject({ state: 'failed', port, urls: [], error: { code: 'E_CONFLICT' } })
    await new Promise(resolve => blocker.close(resolve))
    expect(await server.start()).toMatchObject({ state: 'running', port })
    await server.stop()
  })

  it('starts, serves on IPv4 and IPv6, stops and starts again', async () => {
    const states: string[] = []
    const server = createRestServer(services, { port: 0, onStatus: status => states.push(status.state) })
    const { port, urls } = await server.start()
    expect(urls).toContain(`http://127.0.0.1:${port}`)
    for (const url of urls) expect(await (await fetch(url)).text()).toBe('Moebius is running')
    const endless = await fetch(`${urls[0]}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...chat, messages: [{ role: 'user', content: 'endless' }], stream: true }) })
    const count = services.cancelled.length
    const read = endless.text().then(() => 'ended', () => 'cut')
    await server.stop()
    expect(await read).toMatch(/ended|cut/)
    await expect.poll(() => services.cancelled.length).toBe(count + 1)
    expect(server.status()).toMatchObject({ state: 'stopped', urls: [], activeRequests: 0 })
    expect((await server.start()).state).toBe('running')
    await server.stop()
    expect(states.filter((state, i) => state !== states[i - 1])).toEqual(['starting', 'running', 'stopped', 'starting', 'running', 'stopped'])
  })
})
