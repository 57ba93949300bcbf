// Every field of Sampling reaches the native sampler: changing it changes a seeded answer.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EngineModel, Sampling } from '../../electron/engine/types'
import { answer, createEngine, demoPath, greedyCheck, wild } from './support'

let model: EngineModel
beforeAll(async () => { model = await createEngine().load(demoPath, { exact: true }) })
afterAll(async () => { await model.close() })

const base: Sampling = { ...wild, temperature: 1, samplingTopK: 0, topP: 1, minP: 0, repeatPenalty: 1, seed: 11 }
async function ids(changes: Partial<Sampling>): Promise<number[]> {
  const session = model.createSession({ maxSeqLen: 256, cacheFormat: 'f32' })
  try {
    return (await answer(session, { tokens: greedyCheck.prompt_ids, maxTokens: 60, sampling: { ...base, ...changes }, ignoreEndOfGeneration: true })).ids
  } finally {
    session.close()
  }
}

const xtc = { probability: 1, threshold: 0.05 }
const mirostat = { tau: 3, eta: 0.1 }
const penalised: Partial<Sampling> = { repeatPenalty: 1.5, repeatLastN: -1 }

describe('each field', () => {
  it.each<[string, Partial<Sampling>, Partial<Sampling>]>([
    ['temperature', {}, { temperature: 3 }],
    ['samplingTopK', {}, { samplingTopK: 2 }],
    ['topP', {}, { topP: 0.3 }],
    ['minP', {}, { minP: 0.5 }],
    ['typicalP', {}, { typicalP: 0.2 }],
    ['topNSigma', {}, { topNSigma: 1 }],
    ['repeatPenalty', {}, penalised],
    ['repeatLastN', penalised, { ...penalised, repeatLastN: 0 }],
    ['frequencyPenalty', {}, { frequencyPenalty: 2 }],
    ['presencePenalty', {}, { presencePenalty: 3 }],
    ['xtc.probability', {}, { xtc }],
    ['xtc.threshold', { xtc }, { xtc: { ...xtc, threshold: 0.4 } }],
    ['mirostat', {}, { mirostat }],
    ['mirostat.tau', { mirostat }, { mirostat: { ...mirostat, tau: 0.1 } }],
    ['mirostat.eta', { mirostat }, { mirostat: { ...mirostat, eta: 0.9 } }],
    ['order', { temperature: 3, samplingTopK: 1 }, { temperature: 3, samplingTopK: 1, order: ['temperature'] }],
    ['seed', {}, { seed: 12 }],
    ['grammar', {}, { grammar: 'root ::= [a-c]*' }],
    ['jsonSchema', {}, { jsonSchema: '{"type":"array","items":{"type":"integer"}}' }],
  ])('%s', async (_, before, after) => {
    expect(await ids(after)).not.toEqual(await ids(before))
  })

  it('logitBias', async () => {
    const [first] = await ids({ temperature: 0 })
    expect((await ids({ temperature: 0, logitBias: [{ token: first!, bias: -100 }] }))[0]).not.toBe(first)
    expect((await ids({ temperature: 0, logitBias: [{ token: 400, bias: 1000 }] })).every(id => id === 400)).toBe(true)
  })

  // A prompt that breaks off inside its own repeat, and a bias of 20 for going on: DRY takes
  // 5 · 1.75 ** 4 = 47 from it.
  it('dry', async () => {
    const start = greedyCheck.prompt_ids.slice(1, 7)
    const next = greedyCheck.prompt_ids[7]!
    const goesOn = async (dry?: Sampling['dry']): Promise<boolean> => {
      const session = model.createSession({ maxSeqLen: 64, cacheFormat: 'f32' })
      const sampling = { ...base, temperature: 0, logitBias: [{ token: next, bias: 20 }], ...(dry && { dry }) }
      const { ids: [first] } = await answer(session, { tokens: [...start, next, ...start], maxTokens: 1, sampling, ignoreEndOfGeneration: true })
      session.close()
      return first === next
    }
    const dry = { multiplier: 5, base: 1.75, allowedLength: 2, lastN: -1 }
    expect(await goesOn()).toBe(true)
    expect(await goesOn(dry)).toBe(false)
    expect(await goesOn({ ...dry, multiplier: 0.01 })).toBe(true)
    expect(await goesOn({ ...dry, base: 1 })).toBe(true)
    expect(await goesOn({ ...dry, allowedLength: 50 })).toBe(true)
    expect(await goesOn({ ...dry, lastN: 0 })).toBe(true)
  })
})
