import { mkdtempSync, readFileSync, rmSync, writeFileSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ModelCard } from '../../electron/contract'
import { createNativeEngine } from '../../electron/engine/native'
import { addonCandidates } from '../../electron/engine/native-addon'
import { awaitNative } from '../../electron/engine/native-errors'
import { createEngine, demoPath, greedyCheck, root, withModel } from './support'
import { loadSparse, writeSparseModel } from './sparse-model'

const folder = mkdtempSync(join(tmpdir(), 'moebius-addon-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

describe('the engine', () => {
  it('says what it is and where it runs', () => {
    const info = createEngine().info()
    expect(info.version).toBe((JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version)
    expect(info.backends.map(backend => backend.id)).toEqual(['cpu', 'cuda', 'metal'])
    expect(info.backends[0]).toMatchObject({ available: true, reason: '' })
    expect(info.backends.every(backend => backend.available === (backend.reason === ''))).toBe(true)
    expect(info.cpuLevels).toContain(info.cpuLevel)
    expect(info.threads).toBeGreaterThan(0)
  })

  it('measures memory', () => {
    const { totalBytes, availableBytes, processBytes } = createEngine().memory()
    expect(totalBytes).toBeGreaterThan(2 ** 28)
    expect(availableBytes).toBeGreaterThan(0)
    expect(availableBytes).toBeLessThanOrEqual(totalBytes)
    expect(Math.abs(processBytes - process.memoryUsage.rss())).toBeLessThan(64 * 2 ** 20)
  })

  it('says how to build an addon that is missing, foreign or unloadable', () => {
    const noAddon = join(folder, 'text.node')
    writeFileSync(noAddon, 'not a library')
    const foreign = join(folder, 'foreign.cjs')
    writeFileSync(foreign, 'module.exports = { apiVersion: 99 }')
    for (const path of [join(folder, 'nothing.node'), noAddon, foreign]) {
      expect(() => createNativeEngine(path)).toThrow(expect.objectContaining({
        code: 'E_NATIVE', message: expect.stringContaining(path), hint: expect.stringContaining('npm run build:native'),
      }))
    }
  })

  it('looks where MOEBIUS_ADDON points, or beside the packaged program, or in the source tree', () => {
    const named = process.env['MOEBIUS_ADDON']
    const place = process as { resourcesPath?: string }
    try {
      process.env['MOEBIUS_ADDON'] = '/elsewhere/native.node'
      expect(addonCandidates()).toEqual(['/elsewhere/native.node'])
      delete process.env['MOEBIUS_ADDON']
      expect(addonCandidates()).toContain(join(root, 'native/build/Release/native.node'))
      place.resourcesPath = join(folder, 'resources')
      expect(addonCandidates()[0]).toBe(join(folder, 'resources', 'native.node'))
    } finally {
      delete place.resourcesPath
      if (named !== undefined) process.env['MOEBIUS_ADDON'] = named
    }
  })

  it('keeps the stack of the caller', async () => {
    const failure = await awaitNative(() => Promise.reject(Object.assign(new Error('broken'), { code: 'E_GGUF', hint: 'Fetch it again.' })))
      .catch((error: unknown) => error as Error)
    expect(failure).toMatchObject({ name: 'WorkbenchError', code: 'E_GGUF', message: 'broken', hint: 'Fetch it again.' })
    expect((failure as Error).stack).toContain('engine.test.ts')
    const strange = await awaitNative(() => Promise.reject(Object.assign(new Error('odd'), { code: 'ENOENT' }))).catch((error: unknown) => error)
    expect(strange).toMatchObject({ code: 'E_INTERNAL', message: 'odd' })
  })
})

describe('inspect and estimate', () => {
  it('reads a file without loading it', async () => {
    const { card, parts, metadata, tensors, chatTemplate } = await createEngine().inspect(demoPath)
    expect(ModelCard.safeParse(card).error).toBeUndefined()
    expect(card).toMatchObject({ architecture: 'deepseek2', supported: true, unsupportedReason: '', vocabSize: 4096, hasChatTemplate: true })
    expect(card.nTensors).toBe(tensors.length)
    expect(Object.values(card.tensorClassBytes).reduce((a, b) => a + b, 0)).toBe(tensors.reduce((sum, tensor) => sum + tensor.bytes, 0))
    expect(parts).toEqual([demoPath])
    expect(metadata.find(entry => entry.key === 'general.architecture')).toEqual({ key: 'general.architecture', type: 'string', value: 'deepseek2' })
    expect(metadata.find(entry => entry.key === 'tokenizer.ggml.tokens')).toMatchObject({ type: 'string[]', value: expect.stringMatching(/^\[4096\] .*, …$/s) })
    expect(chatTemplate).toContain('{')
  })

  it('estimates the cache in proportion to its length and format', async () => {
    const engine = createEngine()
    const short = await engine.estimate(demoPath, 256, 'f32')
    const long = await engine.estimate(demoPath, 1024, 'f32')
    const half = await engine.estimate(demoPath, 1024, 'f16')
    expect(short.totalBytes).toBe(short.weightsBytes + short.cacheBytes + short.scratchBytes)
    expect(long.cacheBytes).toBe(4 * short.cacheBytes)
    // Rows are padded to cache lines.
    expect(half.cacheBytes).toBeLessThan(long.cacheBytes * 0.65)
    await expect(engine.estimate(demoPath, 0, 'f32')).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringContaining('seqLen') })
    await expect(engine.estimate(demoPath, 16, 'f8' as 'f16')).rejects.toMatchObject({ code: 'E_BAD_REQUEST' })
  })

  it('streams experts with the memory asked for: the same logits, counted reads', async () => {
    const engine = createEngine()
    const { experts } = await engine.estimate(demoPath, 64, 'f32')
    const leastBytes = experts?.leastBytes ?? 0
    expect(experts).toMatchObject({ memoryBytes: 0, slotsPerLayer: 0, routedExperts: 32 })
    const streamed = await engine.estimate(demoPath, 64, 'f32', leastBytes)
    expect(streamed.experts).toMatchObject({ memoryBytes: leastBytes, slotsPerLayer: 4 })
    await expect(engine.estimate(demoPath, 64, 'f32', leastBytes - 1)).rejects.toMatchObject({ code: 'E_MEMORY', message: expect.stringContaining(`expected at least ${leastBytes}`) })
    await expect(engine.load(demoPath, { expertMemory: 1 })).rejects.toMatchObject({ code: 'E_MEMORY' })
    const logits: Float32Array[] = []
    for (const expertMemory of [0, leastBytes]) {
      const model = await engine.load(demoPath, { threads: 2, expertMemory })
      const session = model.createSession({ maxSeqLen: 64, cacheFormat: 'f32' })
      logits.push(await session.logits([1, 5, 9, 200, 3000]))
      const counted = model.streamedExperts()
      if (expertMemory === 0) expect(counted).toBeUndefined()
      else expect(counted).toMatchObject({ memoryBytes: leastBytes, slotsPerLayer: 4, misses: expect.toSatisfy((n: number) => n > 0), bytesRead: expect.toSatisfy((n: number) => n > 0) })
      session.close()
      await model.close()
      expect(model.streamedExperts()).toBeUndefined()
    }
    expect(logits[1]).toEqual(logits[0])
  })

  it('refuses what cannot be read, with the reason', async () => {
    const engine = createEngine()
    const missing = join(folder, 'missing.gguf')
    await expect(engine.inspect(missing)).rejects.toMatchObject({ code: 'E_IO', message: expect.stringContaining(missing) })
    await expect(engine.load(missing)).rejects.toMatchObject({ code: 'E_IO' })
    await expect(engine.inspect(folder)).rejects.toMatchObject({ code: 'E_IO' })
    await expect(engine.inspect('')).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringContaining('path') })
    await expect(engine.inspect('a\0b')).rejects.toMatchObject({ code: 'E_BAD_REQUEST' })
  })
})

interface CorpusEntry { file: string, code?: string, error?: string }
const corpus = join(root, 'test/fixtures/gguf-corpus')
const entries = JSON.parse(readFileSync(join(corpus, 'index.json'), 'utf8')) as CorpusEntry[]

describe('broken files', () => {
  it.each(entries.filter(entry => entry.code))('$file is refused with $code', async ({ file, code, error }) => {
    const engine = createEngine()
    const path = join(corpus, file)
    await expect(engine.inspect(path)).rejects.toMatchObject({ code, message: expect.stringContaining(error!) })
    await expect(engine.load(path)).rejects.toMatchObject({ code })
  })

  it('refuses a sound container with nothing to run in it', async () => {
    const engine = createEngine()
    const { card } = await engine.inspect(join(corpus, 'valid-no-tensors.gguf'))
    expect(card.supported).toBe(false)
    expect(card.unsupportedReason).not.toBe('')
    await expect(engine.load(join(corpus, 'valid-no-tensors.gguf'))).rejects.toMatchObject({ code: expect.stringMatching(/^E_(GGUF|UNSUPPORTED)$/) })
  })

  it('refuses a model cut in the middle', async () => {
    const path = join(folder, 'cut.gguf')
    writeFileSync(path, readFileSync(demoPath).subarray(0, 6_000_000))
    await expect(createEngine().load(path)).rejects.toMatchObject({ code: 'E_GGUF' })
  })
})

describe('a model', () => {
  it('knows its tokens', async () => {
    await withModel(demoPath, async model => {
      const text = 'Once upon a time, ein Mädchen → 🦊\n\tthe end'
      const ids = model.encode(text, { addSpecial: true, parseSpecial: false })
      expect(model.decode(ids)).toBe(text)
      expect(model.encode(text, { addSpecial: false, parseSpecial: false })).toEqual(ids.slice(1))
      const { bos } = model.specialTokens
      expect([...model.encode(bos, { addSpecial: false, parseSpecial: true })]).toEqual([ids[0]])
      expect(model.encode(bos, { addSpecial: false, parseSpecial: false }).length).toBeGreaterThan(1)
      // Somebody's text between two of the template's, behind characters of 1 to 4 bytes.
      const mixed = `é中😀${bos}é${bos}`
      const start = mixed.indexOf(bos)
      expect([...model.encode(mixed, { addSpecial: false, parseSpecial: true, literal: [{ start, end: start + bos.length }] })]).toEqual([
        ...model.encode(mixed.slice(0, -bos.length), { addSpecial: false, parseSpecial: false }), ids[0],
      ])
      expect(model.controlTokens).toContain(bos)
      expect(model.decode([])).toBe('')
      expect(model.decode(new Set([ids[1]!]))).toBe('Once')
      expect(model.endOfGeneration.length).toBeGreaterThan(0)
      expect(model.vocabSize).toBe(4096)
      expect(model.chatTemplate).toContain('{')
      expect(model.encode('\u{d800}', { addSpecial: false, parseSpecial: false }).length).toBeGreaterThan(0)
      for (const bad of [-1, 4096, 0.5, Number.NaN, 2 ** 32]) {
        expect(() => model.decode([bad])).toThrow(expect.objectContaining({ code: 'E_BAD_REQUEST' }))
      }
    })
  })

  it('reports the progress of its load and takes overrides', async () => {
    const fractions: number[] = []
    let bytes: { bytesDone: number, bytesTotal: number } | undefined
    const model = await createEngine().load(demoPath, { threads: 1, overrides: { 'general.name': 'Renamed' }, onProgress: ({ fraction, bytesDone, bytesTotal }) => {
      fractions.push(fraction)
      bytes = { bytesDone, bytesTotal }
    } })
    expect(fractions.at(-1)).toBe(1)
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
    expect(bytes).toEqual({ bytesDone: bytes?.bytesTotal, bytesTotal: expect.toSatisfy((total: number) => total > 0.9 * model.card.fileBytes && total < model.card.fileBytes) as number })
    await model.close()
    await expect(createEngine().load(demoPath, { threads: -1 })).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringContaining('options.threads') })
  })

  it('is mapped, not read: a file of gigabytes costs no memory until it is used', async () => {
    const path = join(folder, 'large.gguf')
    const bytes = writeSparseModel(path)
    expect(bytes).toBeGreaterThan(2 ** 31)
    const engine = createEngine()
    const before = engine.memory().processBytes
    const { card } = await engine.inspect(path)
    expect(card).toMatchObject({ supported: true, fileBytes: bytes })
    expect(engine.memory().processBytes - before).toBeLessThan(64 * 2 ** 20)
    await loadSparse(path, () => { expect(engine.memory().processBytes - before).toBeLessThan(256 * 2 ** 20) })
  })

  it('is not read ahead when it is larger than memory', async () => {
    const path = join(folder, 'larger-than-memory.gguf')
    writeSparseModel(path)
    const engine = createEngine()
    const { totalBytes, processBytes: before } = engine.memory()
    truncateSync(path, totalBytes + 2 ** 30)  // the rest is a hole too
    const fractions: number[] = []
    const reasons: string[] = []
    const model = await engine.load(path, { threads: 1, onProgress: ({ fraction }) => { fractions.push(fraction) }, onTouchSkipped: reason => { reasons.push(reason) } })
    expect(model.card.fileBytes).toBe(totalBytes + 2 ** 30)
    expect(fractions).toEqual([])
    expect(reasons).toEqual(['memory'])
    expect(engine.memory().processBytes - before).toBeLessThan(256 * 2 ** 20)
    await model.close()
  })

  it('is not read ahead when that is asked for, and is when that is', async () => {
    const engine = createEngine()
    const outcomes: unknown[] = []
    for (const touch of ['no', 'yes'] as const) {
      const seen: string[] = []
      await (await engine.load(demoPath, { threads: 1, touch, onProgress: () => { seen.push('read') }, onTouchSkipped: reason => { seen.push(reason) } })).close()
      outcomes.push(new Set(seen))
    }
    expect(outcomes).toEqual([new Set(['asked']), new Set(['read'])])
  })

  it('is the same with and without exact activations, up to rounding', async () => {
    const best = async (exact: boolean): Promise<number> => await withModel(demoPath, async model => {
      const logits = await model.createSession({ maxSeqLen: 64, cacheFormat: 'f16' }).logits(greedyCheck.prompt_ids)
      const last = logits.subarray(-model.vocabSize)
      return last.indexOf(Math.max(...last))
    }, exact)
    expect([await best(true), await best(false)]).toEqual([greedyCheck.continuation_ids[0], greedyCheck.continuation_ids[0]])
  })

  it('rounds prompt attention where it is asked to and can, and refuses it elsewhere', async () => {
    const engine = createEngine()
    const prompt = greedyCheck.prompt_ids
    const last = async (bf16Attention: boolean): Promise<Float32Array> => {
      const model = await engine.load(demoPath, { threads: 1, bf16Attention })
      try {
        return (await model.createSession({ maxSeqLen: 64, cacheFormat: 'f16' }).logits(prompt)).slice(-model.vocabSize)
      } finally {
        await model.close()
      }
    }
    if (!engine.info().backends.some(({ id, hasBf16Attention }) => id === 'cpu' && hasBf16Attention)) {
      await expect(last(true)).rejects.toMatchObject({ code: 'E_UNSUPPORTED' })
      return
    }
    const [plain, rounded] = [await last(false), await last(true)]
    const apart = Math.sqrt(plain.reduce((sum, logit, i) => sum + (logit - rounded[i]!) ** 2, 0) / plain.reduce((sum, logit) => sum + logit ** 2, 0))
    expect(apart).toBeGreaterThan(1e-5)
    expect(apart).toBeLessThan(0.03)
    await expect(engine.load(demoPath, { exact: true, bf16Attention: true })).rejects.toMatchObject({ code: 'E_BAD_REQUEST' })
  })
})
