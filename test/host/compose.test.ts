// The host as a window sees it: the contract over a memory wire, with answers checked against it.
import { createServer } from 'node:net'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { contract, decodeRoutingFrame, type CalibrationStatus, type ChatEvent, type Contract, type ModelEntry, type Scope, type ServerStatus, type Settings } from '../../electron/contract'
import { createClient, memoryWirePair, type Client } from '../../electron/contract/rpc'
import { contractHash } from '../../electron/contract/rpc/contract-hash'
import { createHost, type Host, type HostOptions } from '../../electron/host/compose'
import { FakeEngine, type FakeEngineOptions } from '../tools/fake-engine'
import { codeOf, fakeModelFile, temporaryFolder, until } from '../services/workplace'

const cleanUp: (() => unknown)[] = []
afterEach(async () => { for (const act of cleanUp.splice(0).reverse()) await act() })

async function open(engineOptions: FakeEngineOptions = {}, options: Partial<HostOptions> = {}): Promise<{ host: Host, engine: FakeEngine, client: Client<Contract>, folder: string, join(scopes?: Scope[]): Client<Contract> }> {
  const folder = options.dataDir ?? temporaryFolder()
  const engine = new FakeEngine(engineOptions)
  const host = createHost(engine, { kind: 'serve', dataDir: folder, holder: { pid: process.pid }, builtInModel: fakeModelFile(folder, 'demo.gguf'), ...options })
  cleanUp.push(() => host.close())
  await host.start()
  const join = (scopes: Scope[] = ['infer', 'manage', 'train']): Client<Contract> => {
    const client = createClient(contract, () => {
      const [mine, theirs] = memoryWirePair()
      host.accept(theirs, scopes)
      return mine
    }, { validateOutputs: true })
    cleanUp.push(() => client.close())
    return client
  }
  return { host, engine, client: join(), folder, join }
}

test('tells what it is, and keeps what needs another scope', async () => {
  const { client, folder, join } = await open()
  expect(await client.call('host.info', {})).toMatchObject({ hostKind: 'serve', dataDir: folder, pid: process.pid, version: expect.stringMatching(/^\d/) as string })
  expect(await codeOf(client.call('host.restart', {}))).toBe('E_CONFLICT')
  const guest = join(['infer'])
  expect(await codeOf(guest.call('host.info', {}))).toBe('no error')
  expect(await codeOf(guest.call('models.import', { paths: ['/x'] }))).toBe('E_SCOPE')
})

test('measures the machine when it is first asked, and tells every window how far it is', async () => {
  const { engine, client, folder, host, join } = await open({ calibrateDelayMs: 20 })
  const seen: CalibrationStatus[] = []
  join().watch('engine.calibration', status => { seen.push(status) })
  await until(() => seen.length === 1, 'the status arrives')
  expect(seen[0]).toEqual({ phase: 'idle', progress: 0 })
  expect(await codeOf(join(['infer']).call('engine.calibrate', { again: false }))).toBe('E_SCOPE')
  const measured = await client.call('engine.calibrate', { again: false })
  expect(measured).toMatchObject({ cpuBrand: 'Fake CPU', threads: 2, readBytesPerSecond: 1e10 })
  await until(() => seen.at(-1)?.phase === 'idle', 'the measurement is over')
  expect(seen.some(({ phase, progress }) => phase === 'measuring' && progress > 0)).toBe(true)
  expect(seen.at(-1)).toEqual({ phase: 'idle', progress: 0, calibration: measured })
  expect((await client.call('engine.calibrate', { again: true })).readBytesPerSecond).toBe(2e10)
  await host.close()
  // The next host of the folder knows it.
  const next = await open({}, { dataDir: folder })
  expect((await next.client.call('engine.calibrate', { again: false })).readBytesPerSecond).toBe(2e10)
  expect([engine.nCalibrations, next.engine.nCalibrations]).toEqual([2, 0])
})

test('two hosts never share a data folder', async () => {
  const { folder } = await open()
  expect(() => createHost(new FakeEngine(), { kind: 'electron', dataDir: folder, holder: { pid: process.ppid } })).toThrow(expect.objectContaining({ code: 'E_CONFLICT' }) as Error)
})

test('models from import to removal, as the window follows it', async () => {
  const { client, folder } = await open({ weightsBytes: 5e6 })
  let models: ModelEntry[] = []
  client.watch('models', value => { models = value.models })
  const { imported, problems } = await client.call('models.import', { paths: [fakeModelFile(folder, 'Mine.gguf'), `${folder}/none.gguf`] })
  expect(imported).toMatchObject([{ id: 'mine', state: 'ready', builtIn: false, parts: 1, estimate: { seqLen: 512, weightsBytes: 5e6, fits: true } }])
  expect(problems).toMatchObject([{ error: { code: 'E_NOT_FOUND' } }])
  await until(() => models.length === 2, 'the list grows')
  expect(models.map(({ id, builtIn }) => [id, builtIn])).toEqual([['demo', true], ['mine', false]])
  expect((await client.call('models.inspect', { modelId: 'mine' })).metadata).toEqual([{ key: 'general.architecture', type: 'string', value: 'fake' }])
  expect(await client.call('models.estimate', { modelId: 'mine', seqLen: 100 })).toMatchObject({ seqLen: 100, cacheBytes: 10_000, fits: true })
  let settings: Settings | undefined
  client.watch('settings', value => { settings = value })
  const { instanceId } = await client.call('models.load', { modelId: 'mine', maxSeqLen: 256 })
  await until(() => settings?.lastModelId === 'mine', 'the last model is remembered')
  let loaded: unknown
  client.watch('engine.status', value => { loaded = value.loaded })
  await until(() => loaded !== undefined, 'the status arrives')
  expect(loaded).toMatchObject([{ modelId: 'mine', instanceId, state: 'ready', maxSeqLen: 256 }])
  await client.call('models.remove', { modelId: 'mine' })
  await until(() => models.length === 1, 'the list shrinks')
  expect(loaded).toEqual([])
  expect(await codeOf(client.call('models.remove', { modelId: 'demo' }))).toBe('E_CONFLICT')
  expect(await codeOf(client.call('models.unload', { modelId: 'mine' }))).toBe('E_MODEL_UNKNOWN')
  await client.call('settings.update', { patch: { modelFolders: [folder] } })
  await until(() => models.length === 2, 'a folder added in the settings is searched')
})

test('a chat with routing, seen by two windows', async () => {
  const { client, join } = await open({ tokenDelayMs: 4, answer: () => '<think>Hm.</think>\n\nOne two three four five six seven eight nine ten.' })
  const other = join()
  let titles: string[] = []
  other.watch('conversations', list => { titles = list.map(({ title }) => title) })
  const { id } = await client.call('conversations.create', { modelId: 'demo' })
  let routed = 0
  const routing = client.open('routing.live', {})
  void (async () => { for await (const bytes of routing) routed += decodeRoutingFrame(bytes)?.nTokens ?? 0 })()
  const { generationId } = await client.call('chat.send', { conversationId: id, content: 'Count', modelId: 'demo' })
  expect(await codeOf(client.call('conversations.delete', { conversationId: id }))).toBe('E_CONFLICT')
  expect(await codeOf(client.call('models.remove', { modelId: 'demo' }))).toBe('E_CONFLICT')
  const watch = async (window: Client<Contract>): Promise<ChatEvent[]> => {
    const events: ChatEvent[] = []
    for await (const event of window.open('chat.watch', { generationId })) events.push(event)
    return events
  }
  const [mine, theirs] = await Promise.all([watch(client), watch(other)])
  expect(mine.at(-1)).toEqual(theirs.at(-1))
  const end = mine.at(-1)
  if (end?.type !== 'end') throw new Error('no end')
  expect(end.message).toMatchObject({ reasoning: 'Hm.', content: 'One two three four five six seven eight nine ten.', state: 'complete' })
  const nTokens = (end.message.stats?.promptTokens ?? 0) + (end.message.stats?.generatedTokens ?? 0)
  await until(() => routed === nTokens, 'every token was routed once')
  expect(titles).toEqual(['Count'])
  expect((await other.call('conversations.list', { search: 'seven' })).map(({ id: found }) => found)).toEqual([id])
  const again = await client.call('chat.regenerate', { messageId: end.message.id, modelId: 'demo' })
  await client.call('chat.stop', { generationId: again.generationId })
  expect(await codeOf(client.call('chat.send', { conversationId: id, content: '', modelId: 'demo' }))).toBe('E_SCHEMA')
  expect(await codeOf((async () => { for await (const event of client.open('chat.watch', { generationId: 'none' })) void event })())).toBe('E_NOT_FOUND')
  await until(() => titles.length === 1, 'settled')
  expect((await client.call('conversations.update', { conversationId: id, title: 'Numbers' })).title).toBe('Numbers')
  await until(() => titles[0] === 'Numbers', 'the other window hears of it')
})

test('the REST server starts, answers, stops, and is remembered', async () => {
  const { client, host, folder } = await open()
  let status: ServerStatus | undefined
  client.watch('server.status', value => { status = value })
  const started = await client.call('server.start', { port: 0 })
  expect(started).toMatchObject({ state: 'running', requireToken: false })
  const url = started.urls[0] ?? ''
  const chat = (headers: Record<string, string> = {}): Promise<Response> => fetch(`${url}/v1/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'Hi' }] }),
  })
  expect(await (await chat()).json()).toMatchObject({ choices: [{ message: { content: 'You said: Hi.' } }] })
  await until(() => status?.requests === 1 && status.activeRequests === 0, 'the request is counted')
  const { token } = await client.call('server.createToken', { name: 'test' })
  await client.call('settings.update', { patch: { serverRequireToken: true } })
  await until(() => status?.state === 'running' && status.requireToken, 'the rule applies at once')
  expect((await chat()).status).toBe(401)
  expect((await chat({ authorization: `Bearer ${token}` })).status).toBe(200)
  expect(host.services.settings.value.serverEnabled).toBe(true)
  expect((await client.call('server.stop', {})).state).toBe('stopped')
  expect(await codeOf(fetch(url))).not.toBe('no error')
  expect(host.services.settings.value.serverEnabled).toBe(false)
  const busy = createServer().listen(0, '127.0.0.1')
  await once(busy, 'listening')
  cleanUp.push(() => { busy.close() })
  const { port } = busy.address() as { port: number }
  expect(await codeOf(client.call('server.start', { port }))).toBe('E_CONFLICT')
  expect(status?.state).toBe('failed')
  await host.close()
  const again = await open({}, { dataDir: folder, restPort: port === 0 ? 1 : 0 })
  expect(again.host.services.settings.value).toMatchObject({ serverEnabled: false, serverRequireToken: true })
})

test('the log can be followed', async () => {
  const { client, host } = await open()
  host.services.log.info('before')
  const lines: string[] = []
  for await (const { text } of client.open('logs.tail', { lines: 1 })) {
    lines.push(text)
    if (lines.length === 1) host.services.log.warning('after')
    else break
  }
  expect(lines).toEqual(['before', 'after'])
})

test('random and mutated frames do not trouble other windows', async () => {
  const { client, host } = await open()
  const hello = JSON.stringify({ t: 'hello', v: 1, contract: contractHash(contract), app: 'a', session: 'a-session-of-chaos' })
  const samples = [
    hello, '{"t":"call","id":1,"m":"host.info","p":{}}', '{"t":"open","id":2,"m":"routing.live","p":{},"credit":4}', '{"t":"credit","id":2,"n":1}',
    '{"t":"cancel","id":1}', '{"t":"sub","key":"models"}', '{"t":"call","id":3,"m":"settings.update","p":{"patch":{"theme":"dark"}}}', '{"t":"ping"}',
  ]
  let seed = 1
  const random = (n: number): number => (seed = Math.imul(seed, 48271) >>> 0) % n
  for (let round = 0; round < 2000; round++) {
    const [mine, theirs] = memoryWirePair()
    host.accept(theirs, ['infer'])
    if (random(8) > 0) mine.send(hello)
    for (let i = random(5); i >= 0; i--) {
      const characters = [...samples[random(samples.length)] ?? '']
      for (let n = random(4); n > 0; n--) characters[random(characters.length)] = String.fromCharCode(random(200))
      mine.send(random(20) === 0 ? Uint8Array.from(characters, c => c.charCodeAt(0)) : characters.join(''))
    }
    mine.close()
  }
  expect((await client.call('host.info', {})).hostKind).toBe('serve')
  expect(host.services.settings.value.theme).toBe('system') // guests have no scope for that
})
