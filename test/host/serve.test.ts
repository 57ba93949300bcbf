// `serve` with a real child process over the fake engine: the front's checks, and kill -9.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { contract, shellContract, type ChatEvent, type Contract, type HostNotice, type ShellContract } from '../../electron/contract'
import { createClient, webSocketProtocol, type Client, type Wire } from '../../electron/contract/rpc'
import { webSocketServerWire } from '../../electron/wire/web-socket-server'
import { parseServeArguments, type ServeArguments } from '../../electron/host/serve/arguments'
import { browseFolder } from '../../electron/host/serve/file-browser'
import { startServe, type RunningServe } from '../../electron/host/serve/start'
import { bundleFakeHost } from '../tools/bundle-host'
import { codeOf, fakeModelFile, temporaryFolder, until } from '../services/workplace'

let hostModule = ''
beforeAll(async () => { hostModule = await bundleFakeHost() })
afterAll(() => rmSync(dirname(hostModule), { recursive: true, force: true }))
const cleanUp: (() => unknown)[] = []
afterEach(async () => { for (const act of cleanUp.splice(0).reverse()) await act() })

interface Started { running: RunningServe, output: string[], errors: string[], dataDir: string, token: string }

async function start(argv: readonly string[] = [], dataDir = temporaryFolder()): Promise<Started> {
  const rendererRoot = join(dataDir, '..', `renderer-${Date.now()}`)
  mkdirSync(join(rendererRoot, 'assets'), { recursive: true })
  cleanUp.push(() => rmSync(rendererRoot, { recursive: true, force: true }))
  writeFileSync(join(rendererRoot, 'index.html'), '<!doctype html><title>Moebius</title>')
  writeFileSync(join(rendererRoot, 'assets', 'index-123.js'), 'export {}')
  writeFileSync(join(dirname(rendererRoot), 'secret.html'), 'secret')
  const output: string[] = []
  const errors: string[] = []
  const options = parseServeArguments(['--data-dir', dataDir, ...argv]) as ServeArguments
  const running = await startServe(options, {
    hostModule, rendererRoot, writeOut: text => output.push(text), writeError: text => errors.push(text), times: { restartMs: [50, 100, 200] },
  })
  if (!running) throw new Error(output.join(''))
  cleanUp.push(() => running.close())
  return { running, output, errors, dataDir, token: running.address.split('#token=')[1] ?? '' }
}

// Plain HTTP, so that every header can be set as an attacker would.
function ask({ running }: Started, path: string, { method = 'GET', headers = {} }: { method?: string, headers?: Record<string, string> } = {}): Promise<{ status: number, headers: Record<string, unknown>, body: string }> {
  return new Promise((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port: running.front.port, path, method, headers }, response => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => { body += text }).on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    }).on('error', reject).end()
  })
}

async function cookieOf(started: Started): Promise<string> {
  const { headers } = await ask(started, '/session', { method: 'POST', headers: { authorization: `Bearer ${started.token}` } })
  return String(headers['set-cookie']).split(';')[0] ?? ''
}

function openSocket({ running }: Started, path: string, headers: Record<string, string>, protocol = webSocketProtocol): Promise<Wire> {
  const socket = new WebSocket(`ws://127.0.0.1:${running.front.port}${path}`, [protocol], { headers, perMessageDeflate: false })
  return new Promise((resolve, reject) => {
    socket.on('open', () => resolve(webSocketServerWire(socket)))
    socket.on('error', reject)
  })
}

async function openWindow(started: Started): Promise<{ host: Client<Contract>, shell: Client<ShellContract>, nOpened: () => number }> {
  const headers = { cookie: await cookieOf(started), origin: started.running.front.url }
  let nOpened = 0
  const host = createClient(contract, () => { nOpened++; return openSocket(started, '/rpc', headers) }, { validateOutputs: true, retryMs: [20] })
  const shell = createClient(shellContract, () => openSocket(started, '/rpc/shell', headers), { validateOutputs: true, retryMs: [20] })
  cleanUp.push(() => { host.close(); shell.close() })
  return { host, shell, nOpened: () => nOpened }
}

describe('front', () => {
  test('prints one ready line, serves the page with its policy, and nothing else', async () => {
    const started = await start()
    const { output, running, token } = started
    expect(output).toEqual([`Moebius is ready at ${running.front.url}/#token=${token}\n`])
    const page = await ask(started, '/')
    expect(page).toMatchObject({ status: 200, body: '<!doctype html><title>Moebius</title>', headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } })
    const policy = String(page.headers['content-security-policy'])
    expect(policy).toContain(`connect-src 'self' ws://127.0.0.1:${running.front.port};`)
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe-eval')
    expect((await ask(started, '/assets/index-123.js')).headers['cache-control']).toContain('immutable')
    for (const path of ['/nothing.html', '/../secret.html', '/%2e%2e/secret.html', '/..%2fsecret.html', '/assets/..%5c..%5csecret.html', '/assets', '/index.html%00.js', '/%zz']) {
      expect([path, (await ask(started, path)).status]).toEqual([path, 404])
    }
    expect((await ask(started, '/', { method: 'POST' })).status).toBe(405)
    expect(JSON.parse((await ask(started, '/health')).body)).toMatchObject({ status: 'ok' })
  })

  test('the token is traded for a cookie that scripts cannot read; wrong ones are refused', async () => {
    const started = await start(['--token', 'a-token-of-mine'])
    const session = (headers: Record<string, string>): Promise<{ status: number, headers: Record<string, unknown> }> => ask(started, '/session', { method: 'POST', headers })
    expect((await session({ authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await session({})).status).toBe(401)
    expect((await session({ authorization: 'Bearer a-token-of-mine', origin: 'http://evil.example' })).status).toBe(403)
    const right = await session({ authorization: 'Bearer a-token-of-mine', origin: started.running.front.url })
    expect(right.status).toBe(204)
    expect(String(right.headers['set-cookie'])).toMatch(new RegExp(`^moebius_${started.running.front.port}=[\\w-]{43}; Path=/; HttpOnly; SameSite=Strict$`))
    expect(String(right.headers['set-cookie'])).not.toContain('a-token-of-mine')
    expect(statSync(join(started.dataDir, 'serve-token')).mode & 0o777).toBe(0o600)
  })

  test('foreign hosts, origins, cookies and protocols get no page and no socket', async () => {
    const started = await start()
    const { port, url } = started.running.front
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1:1', `127.0.0.1:${port}@evil.example`, `192.168.1.1:${port}`]) {
      expect([host, (await ask(started, '/', { headers: { host } })).status]).toEqual([host, 403])
    }
    for (const host of [`localhost:${port}`, `moebius.localhost:${port}`, `[::1]:${port}`]) expect((await ask(started, '/', { headers: { host } })).status).toBe(200)
    const cookie = await cookieOf(started)
    const attempt = (headers: Record<string, string>, path = '/rpc', protocol?: string): Promise<string> =>
      openSocket(started, path, headers, protocol).then(wire => { wire.close(); return 'open' }, (error: Error) => /\d{3}/.exec(error.message)?.[0] ?? error.message)
    expect(await attempt({ origin: url })).toBe('401')
    expect(await attempt({ cookie, origin: 'http://evil.example' })).toBe('403')
    expect(await attempt({ cookie })).toBe('403')
    expect(await attempt({ cookie: `${cookie}x`, origin: url })).toBe('401')
    expect(await attempt({ cookie, origin: url }, '/rpc/other')).toBe('404')
    expect(await attempt({ cookie, origin: url }, '/rpc', 'moebius.2')).toBe('426')
    expect(await attempt({ cookie, origin: url })).toBe('open')
  })

  test('a taken port is said, not evaded', async () => {
    const { running } = await start()
    expect(await codeOf(start(['--port', String(running.front.port)]))).toBe('E_CONFLICT')
  })
})

test('a second start on the same data prints the address of the first', async () => {
  const { dataDir, running, token } = await start()
  await expect(start([], dataDir)).rejects.toThrow(`Moebius is running at ${running.front.url}/#token=${token}`)
})

test('models of --models-dir are listed beside the built-in one; the browser stays within its roots', async () => {
  const folder = temporaryFolder()
  fakeModelFile(folder, 'mine.gguf')
  const started = await start(['--models-dir', folder])
  const { host, shell } = await openWindow(started)
  let ids: string[] = []
  host.watch('models', ({ models }) => { ids = models.map(({ id }) => id) })
  await until(() => ids.includes('mine'), 'the model is indexed')
  expect(ids).toEqual(['moebius-demo-6m', 'mine'])
  expect(await shell.call('shell.capabilities', {})).toMatchObject({ browse: true, pickFile: false })
  expect((await shell.call('shell.browse', { path: folder })).entries.map(({ name }) => name)).toEqual(['mine.gguf'])
  expect(await codeOf(shell.call('shell.browse', { path: '/etc' }))).toBe('E_SCOPE')
  expect(await codeOf(shell.call('shell.pickModel', { folder: false }))).toBe('E_UNSUPPORTED')
})

test('the file browser shows folders and models only, and follows no link out', async () => {
  const root = temporaryFolder()
  for (const name of ['b', 'a', '.hidden', '.cache']) mkdirSync(join(root, name))
  fakeModelFile(root, 'x.GGUF')
  writeFileSync(join(root, 'notes.txt'), '')
  symlinkSync('/etc', join(root, 'out'))
  symlinkSync(join(root, 'a'), join(root, 'in'))
  const { entries, path, parent } = await browseFolder([root])
  expect(entries.map(({ name, kind }) => `${name} ${kind}`)).toEqual(['.cache directory', 'a directory', 'b directory', 'in directory', 'x.GGUF gguf'])
  expect(parent).toBeUndefined()
  expect((await browseFolder([root], join(path, 'a'))).parent).toBe(path)
  for (const bad of [join(root, '..'), '/', join(root, 'out'), '/no/such/folder', `${root}-beside`]) expect([bad, await codeOf(browseFolder([root], bad))]).toEqual([bad, 'E_SCOPE'])
  expect(await codeOf(browseFolder([root], join(root, 'none')))).toBe('E_NOT_FOUND')
})

test('kill -9 of the host while a chat streams: the window stays, the conversation is whole, the next message works', async () => {
  const folder = temporaryFolder()
  fakeModelFile(folder, 'mine.gguf')
  const started = await start(['--models-dir', folder])
  const { host, shell, nOpened } = await openWindow(started)
  let ids: string[] = []
  host.watch('models', ({ models }) => { ids = models.map(({ id }) => id) })
  let notices: HostNotice[] = []
  host.watch('notices', value => { notices = value })
  await until(() => ids.includes('mine'), 'the model is indexed')
  const { id } = await host.call('conversations.create', {})
  const { generationId, answer } = await host.call('chat.send', { conversationId: id, content: 'Hello', modelId: 'mine' })
  const { pid } = await host.call('host.info', {})
  expect(pid).not.toBe(process.pid)
  let seen = ''
  const watching = codeOf((async () => {
    for await (const event of host.open('chat.watch', { generationId })) {
      if (event.type === 'content') seen += event.text
      if (seen.length > 300) process.kill(pid, 'SIGKILL')
    }
  })())
  expect(['E_GAP', 'E_HOST_LOST']).toContain(await watching)
  // The page's server never went away.
  expect((await ask(started, '/')).status).toBe(200)
  expect((await shell.call('shell.capabilities', {})).browse).toBe(true)
  const after = await host.call('host.info', {})
  expect(after.pid).not.toBe(pid)
  expect(nOpened()).toBeGreaterThanOrEqual(2)
  await until(() => notices.length === 1, 'the notice')
  expect(notices[0]).toMatchObject({ cause: expect.stringContaining('SIGKILL') as string, advice: expect.stringContaining('smaller model') as string })
  expect(started.errors.join('')).toContain('SIGKILL')
  const conversation = await host.call('conversations.get', { conversationId: id })
  expect(conversation.messages.map(({ role, state }) => `${role} ${state}`)).toEqual(['user complete', 'assistant interrupted'])
  const kept = conversation.messages[1]?.content ?? ''
  expect(seen.startsWith(kept)).toBe(true)
  expect(kept.length).toBeGreaterThan(50)
  expect(conversation.generationId).toBeUndefined()
  const next = await host.call('chat.send', { conversationId: id, parentId: answer.id, content: 'Again', modelId: 'mine' })
  const events: ChatEvent[] = []
  for await (const event of host.open('chat.watch', { generationId: next.generationId })) events.push(event)
  expect(events.at(-1)).toMatchObject({ type: 'end', message: { state: 'complete', content: expect.stringContaining('w199') as string } })
})

test('a reloaded page goes on watching; ending the program saves what was said', async () => {
  const folder = temporaryFolder()
  fakeModelFile(folder, 'mine.gguf')
  const started = await start(['--models-dir', folder])
  const first = await openWindow(started)
  let ids: string[] = []
  first.host.watch('models', ({ models }) => { ids = models.map(({ id }) => id) })
  await until(() => ids.includes('mine'), 'the model is indexed')
  const { id } = await first.host.call('conversations.create', {})
  const { generationId } = await first.host.call('chat.send', { conversationId: id, content: 'Hello', modelId: 'mine' })
  first.host.close()
  const second = await openWindow(started)
  expect((await second.host.call('conversations.get', { conversationId: id })).generationId).toBe(generationId)
  let text = ''
  for await (const event of second.host.open('chat.watch', { generationId })) {
    if (event.type === 'content') text += event.text
    if (text.length > 200) break
  }
  expect(text.startsWith('w0 w1 w2 ')).toBe(true)
  await started.running.close()
  expect(existsSync(join(started.dataDir, 'host.lock'))).toBe(false)
  const again = await start([], started.dataDir)
  const third = await openWindow(again)
  const { messages } = await third.host.call('conversations.get', { conversationId: id })
  expect(messages[1]).toMatchObject({ state: 'complete', stats: { stopReason: 'cancelled' } })
  expect(messages[1]?.content.startsWith(text)).toBe(true)
  expect(readFileSync(join(started.dataDir, 'serve-token'), 'utf8')).toBe(again.token)
})

test('arguments', () => {
  expect(parseServeArguments(['--port', '7', '--rest', '--open', '--models-dir', 'a', '--models-dir', 'b'])).toEqual({
    host: '127.0.0.1', port: 7, token: undefined, dataDir: undefined, modelsDirs: ['a', 'b'], restPort: 0, open: true,
  })
  expect(parseServeArguments(['--rest-port', '8000'])).toMatchObject({ restPort: 8000 })
  expect(parseServeArguments(['-h'])).toBe('help')
  for (const bad of [['--port', 'x'], ['--port', '70000'], ['--token', 'short'], ['--nothing'], ['stray']]) expect(() => parseServeArguments(bad)).toThrow()
})
