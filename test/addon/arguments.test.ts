// The raw addon refuses every wrong argument by name, before any work.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Addon, CancelHandle, ModelHandle, SessionHandle } from '../../native/addon'
import { demoPath, rawAddon, rawRequest } from './support'

let addon: Addon
let model: ModelHandle
let session: SessionHandle
const ids = Int32Array.of(300, 301, 302)

beforeAll(async () => {
  addon = rawAddon()
  model = await addon.loadModel(demoPath, {})
  session = addon.createSession(model, 64, 'f32')
})
afterAll(async () => { await addon.closeModel(model) })

const wrong = <T>(value: unknown): T => value as T
const badRequest = (message: string | RegExp): unknown => expect.objectContaining({
  code: 'E_BAD_REQUEST', hint: expect.any(String),
  message: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
})

describe('handles', () => {
  it('are refused when they are of another kind, foreign, forged or missing', () => {
    const cancel = addon.createCancel()
    for (const value of [session, cancel, {}, undefined, null, 1, 'model', Object.create(model as object), new Proxy(model as object, {})]) {
      expect(() => addon.modelInfo(wrong(value))).toThrow(badRequest("argument 'model' must be a model handle"))
    }
    for (const value of [model, cancel, {}, undefined]) {
      expect(() => addon.sessionInfo(wrong(value))).toThrow(badRequest("argument 'session' must be a session handle"))
      expect(() => addon.closeSession(wrong(value))).toThrow(badRequest("'session'"))
    }
    for (const value of [model, session, {}, null]) {
      expect(() => { addon.cancel(wrong(value)) }).toThrow(badRequest("argument 'cancel' must be a cancel handle"))
      expect(() => addon.logits(session, ids, wrong<CancelHandle>(value))).toThrow(badRequest("'cancel'"))
    }
    expect(() => addon.closeModel(wrong(session))).toThrow(badRequest("'model'"))
  })

  it('that cancel serve one call', async () => {
    const cancel = addon.createCancel()
    await addon.logits(session, ids, cancel)
    expect(() => addon.logits(session, ids, cancel)).toThrow(expect.objectContaining({ code: 'E_CONFLICT' }))
    addon.cancel(cancel)
  })
})

describe('plain arguments', () => {
  it.each([
    ['path', () => addon.inspect(wrong(7), {}), "argument 'path' must be a string, got 7"],
    ['path with NUL', () => addon.inspect('a\0', {}), 'NUL'],
    ['overrides', () => addon.inspect(demoPath, wrong([])), "'overrides' must be an object of strings, got an array"],
    ['overrides value', () => addon.inspect(demoPath, wrong({ 'general.name': 1 })), "'overrides.general.name' must be a string, got 1"],
    ['seqLen', () => addon.estimate(demoPath, 1.5, 'f32', {}, 0), "'seqLen' must be an integer from 1 to"],
    ['seqLen bigint', () => addon.estimate(demoPath, wrong(1n), 'f32', {}, 0), 'got a bigint'],
    ['cacheFormat', () => addon.estimate(demoPath, 16, wrong('int4'), {}, 0), 'int4'],
    ['expertMemory', () => addon.estimate(demoPath, 16, 'f32', {}, -1), "'expertMemory' must be an integer from 0 to"],
    ['options', () => addon.loadModel(demoPath, wrong(null)), "'options' must be an object, got null"],
    ['options.threads', () => addon.loadModel(demoPath, { threads: Number.NaN }), "'options.threads' must be an integer from 0 to 1024, got nan"],
    ['options.exact', () => addon.loadModel(demoPath, wrong({ exact: 'yes' })), "'options.exact' must be a boolean, got a string"],
    ['options.bf16Attention', () => addon.loadModel(demoPath, wrong({ bf16Attention: 1 })), "'options.bf16Attention' must be a boolean, got 1"],
    ['misspelt option', () => addon.loadModel(demoPath, wrong({ thread: 2 })), "'options' has an unknown property 'thread'"],
    ['onProgress', () => addon.loadModel(demoPath, {}, wrong({})), "'onProgress' must be a function, got an object"],
    ['text', () => addon.encode(model, wrong(Symbol('a')), true, true), "'text' must be a string, got a symbol"],
    ['addSpecial', () => addon.encode(model, 'a', wrong(1), true), "'addSpecial' must be a boolean, got 1"],
    ['tokens', () => addon.decode(model, wrong([1, 2]), true, true), "'tokens' must be an Int32Array, got an array"],
    ['tokens of another type', () => addon.decode(model, wrong(new Float32Array(2)), true, true), 'typed array of another type'],
    ['token out of range', () => addon.decode(model, Int32Array.of(4096), true, true), '4096'],
    ['maxSeqLen', () => addon.createSession(model, -1, 'f32'), "'maxSeqLen' must be an integer from 0 to"],
    ['maxSeqLen of another model', () => addon.createSession(model, 100_000, 'f32'), '512'],
    ['truncate', () => { addon.truncate(session, 1000) }, "'seqLen' must be an integer from 0 to"],
    ['snapshot path', () => addon.saveSnapshot(session, ''), "'path' must be a path, got an empty string"],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(badRequest(message))
  })

  it('of a request', () => {
    const generate = (changes: object): unknown => addon.generate(session, rawRequest([300], 1, changes), () => undefined)
    expect(() => generate({ tokens: [300] })).toThrow(badRequest("'request.tokens' must be an Int32Array"))
    expect(() => generate({ temperature: Number.POSITIVE_INFINITY })).toThrow(badRequest("'request.temperature' must be a number from 0 to 100, got inf"))
    expect(() => generate({ topP: '0.5' })).toThrow(badRequest("'request.topP' must be a number from 0 to 1, got a string"))
    expect(() => generate({ samplingTopK: 2 ** 31 })).toThrow(badRequest("'request.samplingTopK'"))
    expect(() => generate({ seed: -1 })).toThrow(badRequest("'request.seed' must be an integer from 0 to 4294967295, got -1"))
    expect(() => generate({ logitBiasIds: Int32Array.of(1) })).toThrow(badRequest("'request.logitBiases' must be a Float32Array as long as"))
    expect(() => generate({ order: ['top_p', 1] })).toThrow(badRequest("'request.order[1]' must be a string, got 1"))
    expect(() => generate({ nProbs: 1001 })).toThrow(badRequest("'request.nProbs'"))
    expect(() => generate({ top_k: 3 })).toThrow(badRequest("unknown property 'top_k'"))
    expect(() => generate({ grammar: 'root ::= "a"', jsonSchema: '{}' })).toThrow(badRequest('exclude each other'))
    expect(() => addon.generate(session, rawRequest([300], 1), wrong(undefined))).toThrow(badRequest("'onEvents' must be a function, got undefined"))
    expect(() => addon.generate(session, wrong(undefined), () => undefined)).toThrow(badRequest("'request' must be an object, got undefined"))
    const throwing = { ...rawRequest([300], 1), get seed(): number { throw new RangeError('from a getter') } }
    expect(() => addon.generate(session, throwing, () => undefined)).toThrow(new RangeError('from a getter'))
  })

  it('that only the engine can judge reject the promise', async () => {
    const generate = async (tokens: number[], changes: object = {}): Promise<unknown> => await addon.generate(session, rawRequest(tokens, 1, changes), () => undefined)
    await expect(generate([])).rejects.toEqual(badRequest('at least one token'))
    await expect(generate([-5])).rejects.toEqual(badRequest('-5'))
    await expect(generate([300], { order: ['top_q'] })).rejects.toEqual(badRequest('top_q'))
    await expect(generate([300], { logitBiasIds: Int32Array.of(9999), logitBiases: Float32Array.of(1) })).rejects.toEqual(badRequest('9999'))
    await expect(generate(Array.from({ length: 65 }, () => 300))).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH' })
    await expect(addon.logits(session, Int32Array.of(4096))).rejects.toEqual(badRequest('4096'))
    await expect(addon.logits(session, new Int32Array(65).fill(300))).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH' })
    expect(await addon.logits(session, new Int32Array())).toHaveLength(0)
    expect(await addon.logits(session, ids)).toHaveLength(3 * 4096)
  })

  it('are copied before the work starts', async () => {
    const tokens = Int32Array.from(ids)
    const pending = addon.logits(session, tokens)
    tokens.fill(999)
    expect(await pending).toEqual(await addon.logits(session, ids))
  })
})

describe('logits', () => {
  it('are refused when they would fill JavaScript\'s memory', async () => {
    const long = await addon.loadModel(demoPath, { overrides: { 'deepseek2.context_length': '100000' } })
    const wide = addon.createSession(long, 100_000, 'f16')
    expect(() => addon.logits(wide, new Int32Array(98_305).fill(300))).toThrow(expect.objectContaining({
      code: 'E_BAD_REQUEST', message: expect.stringContaining('1536 MiB'), hint: 'Ask for at most 98304 tokens at a time.',
    }))
    await addon.closeModel(long)
  })
})
