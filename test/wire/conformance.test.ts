// What every wire must do alike: one suite, run over memory, message port and WebSocket.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { contract, type WorkbenchErrorShape } from '../../electron/contract'
import { createClient, type Client, type ClientOptions, type Wire } from '../../electron/contract/rpc'
import { contractHash } from '../../electron/contract/rpc/contract-hash'
import { carriers, type Carrier, type Link } from './carriers'
import { Probe, probeContract, until, type ProbeContract } from './probe-contract'

const scopes = ['infer'] as const

describe.each(carriers.map(make => ({ make })))('wire %#', ({ make }) => {
  let carrier: Carrier
  const cleanUp: (() => void)[] = []
  beforeAll(async () => { carrier = await make() })
  afterAll(() => carrier.close())
  afterEach(() => { for (const act of cleanUp.splice(0)) act() })

  function startProbe(options?: ConstructorParameters<typeof Probe>[0]): Probe {
    const probe = new Probe(options)
    cleanUp.push(() => probe.server.close())
    return probe
  }

  // A client of probe(); `links` lists its connections, the newest last.
  function join(probe: () => Probe, options: ClientOptions = {}): { client: Client<ProbeContract>, links: Link[] } {
    const links: Link[] = []
    const client = createClient(probeContract, async () => {
      const link = await carrier.connect()
      links.push(link)
      probe().server.accept(link.server, { scopes })
      return link.client
    }, { validateOutputs: true, retryMs: [5], ...options })
    cleanUp.push(() => client.close())
    return { client, links }
  }

  // A hand-driven connection, to send what no client of ours would.
  async function raw(probe: Probe, hello = true): Promise<{ wire: Wire, frames: Record<string, unknown>[], send(frame: unknown): void, closed(): string | undefined }> {
    const link = await carrier.connect()
    probe.server.accept(link.server, { scopes })
    const frames: Record<string, unknown>[] = []
    let closed: string | undefined
    link.client.onFrame(frame => { if (typeof frame === 'string') frames.push(JSON.parse(frame) as Record<string, unknown>) })
    link.client.onClose(reason => { closed = reason })
    const send = (frame: unknown): void => link.client.send(JSON.stringify(frame))
    if (hello) {
      send({ t: 'hello', v: 1, contract: contractHash(probeContract), app: 'raw', session: 'session-of-a-raw-client' })
      await until(() => frames.length === 1, 'hello is answered')
    }
    cleanUp.push(() => link.client.close())
    return { wire: link.client, frames, send, closed: () => closed }
  }

  const codeOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(() => 'no error', (error: { code?: string }) => error.code ?? String(error))

  test('echoes every kind of value', async () => {
    const { client } = join(() => probe)
    const probe = startProbe()
    const values = [0, -1.5, '', 'ä \u{1f600} \u0000 \ud800', true, [], {}, [[[]]], { a: { b: [1, 'x', { c: false }] }, 'key with "quotes"': 1 }, 'y'.repeat(90_000)]
    for (const value of values) expect(await client.call('echo', { value })).toEqual({ value })
  })

  test('unknown methods and names of the prototype are no methods', async () => {
    const probe = startProbe()
    const { send, frames } = await raw(probe)
    const names = ['nothing', '__proto__', 'constructor', 'toString', 'hasOwnProperty', '']
    names.forEach((m, i) => send({ t: 'call', id: i + 1, m, p: {} }))
    names.forEach((m, i) => send({ t: 'open', id: i + 101, m, p: {}, credit: 1 }))
    send({ t: 'sub', key: '__proto__' })
    await until(() => frames.length === 1 + 2 * names.length, 'every frame is answered')
    expect(frames.slice(1).map(({ t, e }) => `${String(t)} ${(e as WorkbenchErrorShape).code}`))
      .toEqual([...names.map(() => 'err E_NOT_FOUND'), ...names.map(() => 'fail E_NOT_FOUND')])
    const { client } = join(() => probe)
    expect(await codeOf(client.call('__proto__' as 'echo', { value: 1 }))).toBe('E_NOT_FOUND')
  })

  test('refuses wrong, oversize and deeply nested parameters, and foreign scopes', async () => {
    const probe = startProbe()
    const { client } = join(() => probe)
    expect(await codeOf(client.call('wait', { name: 7 } as never))).toBe('E_SCHEMA')
    expect(await codeOf(client.call('small', { text: 'x'.repeat(51) }))).toBe('E_SCHEMA')
    expect(await codeOf(client.call('small', { text: 'x'.repeat(300) }))).toBe('E_TOO_LARGE')
    expect(await codeOf(client.call('admin', {}))).toBe('E_SCOPE')
    const nested = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`)
    expect(await codeOf(client.call('echo', { value: nested(31) }))).toBe('no error')
    expect(await codeOf(client.call('echo', { value: nested(32) }))).toBe('E_BAD_REQUEST')
    const { send, wire, frames } = await raw(probe)
    wire.send(`{"t":"call","id":1,"m":"echo","p":{"value":${'['.repeat(49_000)}${']'.repeat(49_000)}}}`)
    send({ t: 'call', id: 2, m: 'echo', p: { value: 'still here' } })
    await until(() => frames.length === 3, 'both calls are answered')
    expect(frames.slice(1)).toMatchObject([{ t: 'err', e: { code: 'E_BAD_REQUEST' } }, { t: 'ok' }])
    const endless: unknown[] = []
    endless.push(endless)
    expect(await codeOf(client.call('echo', { value: endless }))).toBe('E_BAD_REQUEST')
    expect(await client.call('echo', { value: 'still here' })).toEqual({ value: 'still here' })
  })

  test('ends a connection that does not speak the protocol', async () => {
    const probe = startProbe()
    for (const bad of ['{', '[]', '{"t":"call"}', '{"t":"call","id":-1,"m":"echo","p":{}}', '{"t":"hello"}', ' '.repeat(8 * 1024 * 1024 + 1)]) {
      const { wire, closed } = await raw(probe)
      wire.send(bad)
      await until(() => closed() !== undefined, `closed after ${bad.slice(0, 40)}`)
    }
    const early = await raw(probe, false)
    early.send({ t: 'call', id: 1, m: 'echo', p: { value: 1 } })
    await until(() => early.closed() !== undefined, 'closed without hello')
    expect(early.frames).toEqual([])
  })

  test('errors keep code, hint and detail; defects are reported', async () => {
    const probe = startProbe()
    const { client } = join(() => probe)
    await expect(client.call('fails', { known: true })).rejects.toMatchObject({ code: 'E_MEMORY', message: 'Too large.', hint: 'Take less.', detail: { bytes: 7 } })
    await expect(client.call('fails', { known: false })).rejects.toMatchObject({ code: 'E_INTERNAL', message: 'fails failed: undefined is not a function' })
    expect(probe.defects).toEqual(['fails: TypeError: undefined is not a function'])
  })

  test('cancels in any order, and after the end without harm', async () => {
    const probe = startProbe()
    const { client } = join(() => probe)
    const aborts = ['a', 'b', 'c'].map(name => ({ name, abort: new AbortController() }))
    const results = aborts.map(({ name, abort }) => codeOf(client.call('wait', { name }, { signal: abort.signal })))
    await until(() => probe.waiting.size === 3, 'all are waiting')
    for (const i of [2, 0]) aborts[i]?.abort.abort()
    await until(() => probe.aborted.length === 2, 'two are aborted')
    probe.waiting.get('b')?.()
    expect(await Promise.all(results)).toEqual(['E_CANCELLED', 'no error', 'E_CANCELLED'])
    expect(probe.aborted.sort()).toEqual(['a', 'c'])
    aborts[1]?.abort.abort()
    const { send, frames } = await raw(probe)
    send({ t: 'cancel', id: 999 })
    send({ t: 'call', id: 1, m: 'echo', p: { value: 1 } })
    send({ t: 'cancel', id: 1 })
    send({ t: 'call', id: 2, m: 'echo', p: { value: 2 } })
    await until(() => frames.length === 3, 'both calls are answered')
    expect(await codeOf(client.call('wait', { name: 'slow' }, { timeoutMs: 20 }))).toBe('E_TIMEOUT')
    await until(() => probe.aborted.includes('slow'), 'a timeout cancels')
  })

  test('a stream without credit stalls, and goes on with it', async () => {
    const probe = startProbe()
    const { send, frames } = await raw(probe)
    send({ t: 'open', id: 1, m: 'count', p: { from: 0, to: 10 }, credit: 0 })
    send({ t: 'call', id: 2, m: 'echo', p: { value: 1 } })
    await until(() => frames.length === 2, 'the call is answered')
    expect(probe.produced).toBe(1)
    send({ t: 'credit', id: 1, n: 3 })
    send({ t: 'call', id: 3, m: 'echo', p: { value: 1 } })
    await until(() => frames.length === 6, 'three items')
    send({ t: 'credit', id: 1, n: 100 })
    await until(() => frames.at(-1)?.t === 'end', 'the end')
    expect(frames.filter(frame => frame.t === 'item').map(frame => frame.seq)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test('in-flight bytes are capped', async () => {
    const probe = startProbe()
    const { send, frames } = await raw(probe)
    send({ t: 'open', id: 1, m: 'count', p: { from: 0, to: 20, bytes: 300_000 }, credit: 20 })
    send({ t: 'call', id: 2, m: 'wait', p: { name: 'fence' } })
    await until(() => probe.waiting.size === 1 && frames.length >= 5, 'the first items')
    await new Promise(resolve => { setTimeout(resolve, 30) })
    expect(frames.length).toBe(5) // hello and the four items that pass 1 MiB
    for (let read = 1; read <= 16; read++) {
      send({ t: 'credit', id: 1, n: 1 })
      await until(() => frames.length >= 5 + read, 'one more for each that was read')
    }
    await until(() => frames.at(-1)?.t === 'end', 'the end')
  })

  test('latest coalesces and never reorders', async () => {
    const probe = startProbe()
    const { client } = join(() => probe)
    const seen: number[] = []
    const reading = (async () => {
      for await (const { n } of client.open('meter', {})) {
        seen.push(n)
        await new Promise(resolve => { setTimeout(resolve, 2) })
      }
    })()
    await until(() => probe.nMeters === 1, 'the meter runs')
    for (let n = 0; n < 500; n++) {
      probe.measure(n)
      if (n % 50 === 0) await new Promise(resolve => { setTimeout(resolve, 4) })
    }
    await until(() => seen.at(-1) === 499, 'the newest arrives')
    probe.measure(-1)
    await reading
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b))
    expect(seen.length).toBeLessThan(250)
  })

  test('never loses nothing under a slow consumer, and the producer waits', async () => {
    const probe = startProbe()
    const { client } = join(() => probe)
    const seen: number[] = []
    for await (const { n } of client.open('count', { from: 0, to: 60 })) {
      seen.push(n)
      expect(probe.produced - seen.length).toBeLessThanOrEqual(10)
      await new Promise(resolve => { setTimeout(resolve, 1) })
    }
    expect(seen).toEqual(Array.from({ length: 60 }, (_, n) => n))
  })

  test('leaving the loop ends the producer', async () => {
    const probe = startProbe()
    const { client } = join(() => probe)
    for await (const { n } of client.open('count', { from: 0, to: 1e9 })) if (n === 20) break
    await until(() => probe.aborted.includes('count'), 'the producer ends')
    const abort = new AbortController()
    const reading = (async () => { for await (const item of client.open('meter', {}, { signal: abort.signal })) void item })()
    await until(() => probe.nMeters === 1, 'the meter runs')
    abort.abort()
    await reading
    await until(() => probe.aborted.includes('meter'), 'the meter ends')
  })

  test('resumes in the middle of a stream, losing and repeating nothing', async () => {
    const probe = startProbe()
    const { client, links } = join(() => probe)
    const seen: number[] = []
    for await (const { n } of client.open('count', { from: 0, to: 200 })) {
      seen.push(n)
      if (n === 20 || n === 21 || n === 150) links.at(-1)?.cut()
      if (n % 30 === 0) await new Promise(resolve => { setTimeout(resolve, 5) })
    }
    expect(seen).toEqual(Array.from({ length: 200 }, (_, n) => n))
    expect(links.length).toBeGreaterThanOrEqual(3)
    expect(probe.produced).toBe(200)
  })

  test('an end that was lost with the wire arrives after it', async () => {
    const probe = startProbe()
    const { client, links } = join(() => probe, { retryMs: [30] })
    const seen: number[] = []
    for await (const { n } of client.open('count', { from: 0, to: 3 })) {
      if (n === 0) links[0]?.cut()
      seen.push(n)
    }
    expect(seen).toEqual([0, 1, 2])
  })

  test('a resume that comes too late is a gap', async () => {
    const probe = startProbe({ resumeMs: 10 })
    const { client, links } = join(() => probe, { retryMs: [60] })
    const reading = codeOf((async () => { for await (const { n } of client.open('job', {})) if (n === 1) links[0]?.cut() })())
    await until(() => probe.nWatchers === 1, 'the job is watched')
    probe.publish(1)
    expect(await reading).toBe('E_GAP')
    await until(() => probe.nWatchers === 0, 'the lost watcher is dropped')
    // Too far back for the ring, on a session that is still known.
    const patient = startProbe()
    const first = await raw(patient)
    first.send({ t: 'open', id: 5, m: 'count', p: { from: 0, to: 1000 }, credit: 300 })
    await until(() => first.frames.length === 301, 'three hundred items')
    first.send({ t: 'credit', id: 5, n: 300 })
    await until(() => first.frames.length === 601, 'three hundred more')
    const again = await raw(patient, false)
    again.send({ t: 'hello', v: 1, contract: contractHash(probeContract), app: 'raw', session: 'session-of-a-raw-client', resume: [{ id: 5, from: 100, credit: 600 }] })
    await until(() => again.frames.length === 2, 'hello and the failure')
    expect(again.frames[1]).toMatchObject({ t: 'fail', id: 5, e: { code: 'E_GAP' } })
  })

  test('two clients watch one job', async () => {
    const probe = startProbe()
    const read = async (client: Client<ProbeContract>): Promise<number[]> => {
      const seen: number[] = []
      for await (const { n } of client.open('job', {})) seen.push(n)
      return seen
    }
    const results = [read(join(() => probe).client), read(join(() => probe).client)]
    await until(() => probe.nWatchers === 2, 'both watch')
    for (const n of [1, 2, 3, -1]) probe.publish(n)
    expect(await Promise.all(results)).toEqual([[1, 2, 3, -1], [1, 2, 3, -1]])
  })

  test('snapshot and patches make the state, also for who comes later', async () => {
    const probe = startProbe()
    const values: unknown[] = []
    const { client } = join(() => probe)
    client.watch('list', value => { values.push(value) })
    await until(() => values.length === 1, 'the snapshot')
    const states = [
      [{ id: 'a', tags: [] }],
      [{ id: 'b', tags: ['x', 'y'] }, { id: 'a', tags: [] }],
      [{ id: 'b', tags: ['y'] }, { id: 'a', tags: ['~/'] }, { id: 'c', tags: [] }],
      [],
      [{ id: 'd', tags: ['1', '2', '3'] }],
    ]
    for (const [i, state] of states.entries()) {
      probe.server.setState('list', state)
      await until(() => values.length === i + 2, 'the patch')
      expect(values.at(-1)).toEqual(state)
    }
    probe.server.setState('list', [{ id: 'd', tags: ['1', '2', '3'] }])
    let late: unknown
    const off = client.watch('list', value => { late = value })
    expect(late).toEqual(states.at(-1))
    off()
    const other: unknown[] = []
    join(() => probe).client.watch('list', value => { other.push(value) })
    await until(() => other.length === 1, 'the snapshot')
    expect(other).toEqual([states.at(-1)])
    expect(values.length).toBe(6) // the equal value was not announced
  })

  test('a gap in the patches asks for the snapshot again', async () => {
    const probe = startProbe()
    let dropped = 0
    const values: unknown[] = []
    const client = createClient(probeContract, async () => {
      const link = await carrier.connect()
      probe.server.accept(link.server, { scopes })
      // Swallows the first patch.
      return { ...link.client, onFrame: listener => link.client.onFrame(frame => {
        if (typeof frame === 'string' && frame.includes('"patch"') && dropped++ === 0) return
        listener(frame)
      }) } satisfies Wire
    })
    cleanUp.push(() => client.close())
    client.watch('list', value => { values.push(value) })
    await until(() => values.length === 1, 'the snapshot')
    probe.server.setState('list', [{ id: 'a', tags: [] }])
    probe.server.setState('list', [{ id: 'a', tags: ['late'] }])
    await until(() => values.length === 2, 'the second snapshot')
    expect(values.at(-1)).toEqual([{ id: 'a', tags: ['late'] }])
    probe.server.setState('list', [])
    await until(() => values.length === 3, 'patches fit again')
    expect(values.at(-1)).toEqual([])
  })

  test('binary items keep their bytes and are aligned', async () => {
    const probe = startProbe()
    const { client } = join(() => probe)
    const sizes = [0, 1, 7, 64, 4097, 200_000, 2_000_000]
    const seen: number[] = []
    for await (const bytes of client.open('frames', { sizes })) {
      expect(bytes.byteOffset % 8).toBe(0)
      expect(bytes.every((byte, i) => byte === (i & 255))).toBe(true)
      seen.push(bytes.length)
    }
    expect(seen).toEqual(sizes)
  })

  test('a wire that closes during a call fails the call; later calls work', async () => {
    const probe = startProbe()
    const { client, links } = join(() => probe)
    const lost = codeOf(client.call('wait', { name: 'x' }))
    const log = codeOf((async () => { for await (const item of client.open('log', {})) void item })())
    await until(() => probe.waiting.size === 1, 'the call is there')
    links[0]?.cut()
    expect(await lost).toBe('E_HOST_LOST')
    expect(await log).toBe('E_HOST_LOST')
    expect(await client.call('echo', { value: 1 })).toEqual({ value: 1 })
    expect(probe.aborted).toEqual([]) // what a page began goes on without it
    const fixed = await carrier.connect()
    probe.server.accept(fixed.server, { scopes })
    const once = createClient(probeContract, fixed.client)
    const pending = codeOf(once.call('wait', { name: 'y' }))
    await until(() => probe.waiting.has('y'), 'the call is there')
    fixed.cut()
    expect(await pending).toBe('E_HOST_LOST')
    expect(once.status.state).toBe('closed')
    expect(await codeOf(once.call('echo', { value: 1 }))).toBe('E_HOST_LOST')
  })

  test('different contracts part at hello', async () => {
    const probe = startProbe()
    const link = await carrier.connect()
    probe.server.accept(link.server, { scopes })
    const client = createClient(contract, link.client)
    expect(await codeOf(client.call('host.info', {}))).toBe('E_VERSION')
    expect(client.status).toMatchObject({ state: 'incompatible', reason: expect.stringContaining('different contracts') as string })
    expect(probe.server.connections).toBe(0)
  })

  test('ten thousand calls at once', async () => {
    const probe = startProbe()
    const { client } = join(() => probe, { validateOutputs: false })
    const results = await Promise.all(Array.from({ length: 10_000 }, (_, value) => client.call('echo', { value })))
    expect(results.every(({ value }, i) => value === i)).toBe(true)
  })

  test('an abort storm leaves nothing behind', async () => {
    const probe = startProbe()
    const { client } = join(() => probe)
    await client.call('echo', { value: 0 })
    const results = Array.from({ length: 1000 }, (_, i) => {
      const abort = new AbortController()
      const result = codeOf(client.call('wait', { name: `n${i}` }, { signal: abort.signal }))
      if (i % 3 === 0) abort.abort()
      else setTimeout(() => abort.abort(), i % 7)
      return result
    })
    expect(new Set(await Promise.all(results))).toEqual(new Set(['E_CANCELLED']))
    await until(() => probe.aborted.length === 1000, 'every handler was told')
    expect(await client.call('echo', { value: 1 })).toEqual({ value: 1 })
  })

  test('a host that is killed and started again under an open window', async () => {
    let probe = startProbe()
    const { client, links } = join(() => probe)
    const states: string[] = []
    client.onStatus(({ state }) => { states.push(state) })
    const values: unknown[] = []
    client.watch('note', value => { values.push(value) })
    probe.server.setState('note', { text: 'before' })
    const meter: number[] = []
    void (async () => { for await (const { n } of client.open('meter', {})) meter.push(n) })()
    const job = codeOf((async () => { for await (const item of client.open('job', {})) void item })())
    await until(() => probe.nWatchers === 1 && probe.nMeters === 1 && values.length === 1, 'all run')
    probe.measure(1)
    await until(() => meter.length === 1, 'telemetry arrives')
    probe = startProbe()
    probe.server.setState('note', { text: 'after' })
    links[0]?.cut()
    expect(await job).toBe('E_GAP')
    await until(() => probe.nMeters === 1 && values.length === 2, 'telemetry and state come back by themselves')
    probe.measure(2)
    await until(() => meter.length === 2, 'telemetry arrives again')
    expect(values).toEqual([{ text: 'before' }, { text: 'after' }])
    expect(await client.call('echo', { value: 1 })).toEqual({ value: 1 })
    expect(states.filter((state, i) => state !== states[i - 1])).toEqual(['connecting', 'open', 'waiting', 'connecting', 'open'])
  })
})
