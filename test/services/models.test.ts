import { expect, test } from 'vitest'
import { codeOf, fakeModelFile, openWithModel, openWorkplace, until } from './workplace'

test('loads with progress, once for all who ask, and unloads', async () => {
  const { engine, models } = await openWithModel({ loadDelayMs: 20 })
  const progress: number[] = []
  const states: string[] = []
  const speeds = new Set<number | undefined>()
  models.onDidChange.on(({ loaded }) => {
    states.push(loaded.map(({ state, progress }) => `${state} ${progress}`).join())
    loaded.forEach(({ progress, touching }) => { if (progress > 0 && progress < 1) speeds.add(touching?.bytesPerSecond) })
  })
  const [a, b] = await Promise.all([models.load('tiny', { onProgress: fraction => progress.push(fraction) }), models.load('tiny')])
  expect(a).toBe(b)
  expect(engine.loads.length).toBe(1)
  expect(progress).toEqual([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
  expect(states[0]).toBe('loading 0')
  expect([...speeds]).toEqual([5e8])
  expect(models.status().loaded).toMatchObject([{ modelId: 'tiny', state: 'ready', progress: 1, maxSeqLen: 512, cacheFormat: 'f16', threads: 2 }])
  expect(models.status().loaded[0]).not.toHaveProperty('touching')
  expect((await models.load('tiny', { maxSeqLen: 128, touch: 'no' })).maxSeqLen).toBe(128)
  expect(models.status().loaded[0]).toMatchObject({ touchSkipped: 'asked' })
  expect(engine.nClosed).toBe(1)
  await models.unload('tiny')
  expect(models.status().loaded).toEqual([])
  expect(engine.nClosed).toBe(2)
  expect(await codeOf(models.load('nothing'))).toBe('E_MODEL_UNKNOWN')
})

test('approximate prompt attention is passed on only where it can be, and shown', async () => {
  const { engine, models, settings } = await openWithModel({})
  const loaded = async (): Promise<[boolean | undefined, boolean | undefined]> => {
    await models.unload('tiny').catch(() => {})
    await models.load('tiny')
    return [engine.loadOptions.at(-1)?.bf16Attention, models.status().loaded[0]?.bf16Attention]
  }
  expect(await loaded()).toEqual([false, false])
  settings.update({ bf16Attention: true })
  expect(await loaded()).toEqual([true, true])
  settings.update({ exact: true })
  expect(await loaded()).toEqual([false, false])
  settings.update({ exact: false })
  const info = engine.info()
  engine.info = () => ({ ...info, backends: info.backends.map(backend => ({ ...backend, hasBf16Attention: false })) })
  expect(await loaded()).toEqual([false, false])
})

// A restarted host may be asked before its library has looked at the file again.
test('keeps to the length of the model when the library has no card of it yet', async () => {
  const { models, library } = await openWithModel({ maxSeqLen: 20 })
  library.require('tiny').card = undefined
  expect((await models.load('tiny')).maxSeqLen).toBe(20)
})

test('a load is cancelled when nobody waits for it any more', async () => {
  const { engine, models } = await openWithModel({ loadDelayMs: 100 })
  const first = new AbortController()
  const second = new AbortController()
  const results = [codeOf(models.load('tiny', { signal: first.signal })), codeOf(models.load('tiny', { signal: second.signal }))]
  first.abort()
  expect(await results[0]).toBe('E_CANCELLED')
  expect(models.status().loaded.length).toBe(1)
  second.abort()
  expect(await results[1]).toBe('E_CANCELLED')
  await until(() => models.status().loaded.length === 0, 'the load is gone')
  expect(engine.loads).toEqual([])
  const unloaded = codeOf(models.load('tiny'))
  await until(() => models.status().loaded.length === 1, 'it loads')
  await models.unload('tiny')
  expect(await unloaded).toBe('E_CANCELLED')
})

test('the memory guardrail refuses with numbers, and can be overridden', async () => {
  const { models, settings } = await openWithModel({ weightsBytes: 1000, cacheBytesPerToken: 1e6, maxSeqLen: 100_000, memory: { totalBytes: 16e9, availableBytes: 5e9, processBytes: 1 } })
  // By itself it takes the longest context that fits: 32768 → 16384 → 8192 → 4096 tokens of 1 MB.
  expect(await models.estimate('tiny', 0)).toMatchObject({ seqLen: 4096, cacheBytes: 4.096e9, fits: true })
  expect((await models.load('tiny')).maxSeqLen).toBe(4096)
  await models.unload('tiny')
  const refused = models.load('tiny', { maxSeqLen: 10_000 })
  await expect(refused).rejects.toMatchObject({ code: 'E_MEMORY', message: expect.stringContaining('9,537 MiB') as string, detail: { seqLen: 10_000, totalBytes: 10_000_002_000, availableBytes: 5e9 } })
  expect((await models.load('tiny', { maxSeqLen: 10_000, force: true })).maxSeqLen).toBe(10_000)
  await models.unload('tiny')
  settings.update({ maxSeqLen: 2000 })
  expect((await models.load('tiny')).maxSeqLen).toBe(2000)
})

test('another model makes room for itself, but not at the cost of one that answers', async () => {
  const { folder, engine, library, models } = openWorkplace({ weightsBytes: 3e9, memory: { totalBytes: 16e9, availableBytes: 4e9, processBytes: 1 } })
  await library.import(['a.gguf', 'b.gguf', 'c.gguf'].map(name => fakeModelFile(folder, name)))
  await models.load('a')
  engine.memoryNow.availableBytes = 1e9
  await models.load('b')
  expect(models.status().loaded.map(({ modelId }) => modelId)).toEqual(['b'])
  await models.use('b', {}, async () => {
    expect(await codeOf(models.load('c'))).toBe('E_MEMORY')
  })
  engine.memoryNow.availableBytes = 8e9
  await models.load('c')
  expect(models.status().loaded.map(({ modelId }) => modelId)).toEqual(['b', 'c'])
})

test('a use loads on demand, and gives back what it loaded after its idle time', async () => {
  const { models } = await openWithModel()
  expect(await codeOf(models.use('tiny', { loadOnDemand: false }, () => Promise.resolve()))).toBe('E_LOADING')
  await models.use('tiny', { keepAliveMs: 30 }, () => Promise.resolve())
  await models.use('tiny', { keepAliveMs: 1e9 }, () => new Promise(resolve => { setTimeout(resolve, 60) }))
  expect(models.status().loaded.length).toBe(1)
  await until(() => models.status().loaded.length === 0, 'it is unloaded')
})
