import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EngineModel, EngineSession } from '../../electron/engine/types'
import { answer, createEngine, demoPath, greedy, greedyCheck, wild } from './support'

const prompt = greedyCheck.prompt_ids
let model: EngineModel
const newSession = (maxSeqLen = 512): EngineSession => model.createSession({ maxSeqLen, cacheFormat: 'f32' })

// Longer than the model was made for: what it says does not matter here.
const longer = { overrides: { 'deepseek2.context_length': '8192' } }

beforeAll(async () => { model = await createEngine().load(demoPath, { exact: true, ...longer }) })
afterAll(async () => { await model.close() })

describe('generate', () => {
  it('continues greedily as the model was recorded to', async () => {
    const { ids, result } = await answer(newSession(), { tokens: prompt, maxTokens: 24, sampling: greedy, ignoreEndOfGeneration: true })
    expect(ids).toEqual(greedyCheck.continuation_ids)
    expect(result).toMatchObject({ stopReason: 'length', stopToken: -1, promptTokens: prompt.length, cachedTokens: 0, generatedTokens: 24 })
    expect(result.timeToFirstTokenMs).toBeGreaterThan(0)
    expect(result.decodeMs).toBeGreaterThan(0)
  })

  it('streams in order what decode() gives for the whole', async () => {
    const { ids, text, tokens, progress, result } = await answer(newSession(), { tokens: prompt, maxTokens: 200, sampling: wild, ignoreEndOfGeneration: true })
    expect(ids).toHaveLength(200)
    expect(text).toBe(model.decode(ids))
    expect(tokens.every(token => token.logprob === undefined && token.top.length === 0)).toBe(true)
    expect(progress.at(-1)).toEqual([prompt.length, prompt.length, 0])
    expect(result.generatedTokens).toBe(200)
  })

  it('draws the same answer for the same seed and another for another', async () => {
    const run = async (seed: number): Promise<number[]> =>
      (await answer(newSession(), { tokens: prompt, maxTokens: 40, sampling: { ...wild, seed }, ignoreEndOfGeneration: true })).ids
    const [first, again, other] = [await run(7), await run(7), await run(8)]
    expect(again).toEqual(first)
    expect(other).not.toEqual(first)
  })

  it('says the same with drafts, and how many of them came true', async () => {
    for (const sampling of [greedy, { ...wild, temperature: 0.8 }]) {
      const request = { tokens: prompt, maxTokens: 40, sampling, ignoreEndOfGeneration: true }
      const plain = await answer(newSession(), request)
      expect(plain.result.draft).toBeUndefined()
      for (const draft of [{ mode: 'always', tokens: 1 }, { mode: 'always', tokens: 3 }, { mode: 'auto', tokens: 2 }] as const) {
        const drafted = await answer(newSession(), { ...request, draft })
        expect(drafted.tokens).toEqual(plain.tokens)
        const { isOn, reason, steps, drafted: n, accepted } = drafted.result.draft!
        expect(n).toBeGreaterThanOrEqual(steps)
        expect(accepted).toBeGreaterThan(n / 4)
        expect(accepted).toBeLessThanOrEqual(n)
        if (draft.mode === 'always') expect([isOn, reason]).toEqual([true, 'always'])
        else expect(['measuring', 'gains', 'no_gain']).toContain(reason)
      }
    }
  })

  it('stops at a stop token without reporting it', async () => {
    const stop = greedyCheck.continuation_ids[3]!
    const { ids, result } = await answer(newSession(), { tokens: prompt, maxTokens: 24, sampling: greedy, stopTokens: [stop], ignoreEndOfGeneration: true })
    expect(ids).toEqual(greedyCheck.continuation_ids.slice(0, 3))
    expect(result).toMatchObject({ stopReason: 'stop', stopToken: stop, generatedTokens: 3 })
  })

  it('reports the likeliest tokens when asked', async () => {
    const { tokens } = await answer(newSession(), { tokens: prompt, maxTokens: 3, sampling: { ...greedy, nProbs: 4 }, ignoreEndOfGeneration: true })
    for (const token of tokens) {
      expect(token.top).toHaveLength(4)
      expect(token.top[0]).toEqual({ id: token.id, logprob: token.logprob })
      expect(token.top.map(item => item.logprob)).toEqual(token.top.map(item => item.logprob).sort((a, b) => b - a))
    }
  })

  it('obeys a logit bias', async () => {
    const banned = greedyCheck.continuation_ids[0]!
    const { ids } = await answer(newSession(), {
      tokens: prompt, maxTokens: 1, sampling: { ...greedy, logitBias: [{ token: banned, bias: Number.NEGATIVE_INFINITY }] }, ignoreEndOfGeneration: true,
    })
    expect(ids[0]).not.toBe(banned)
  })

  it('fills the session when maxTokens is 0, and says that it is full', async () => {
    const session = newSession(prompt.length + 6)
    const { ids, result } = await answer(session, { tokens: prompt, maxTokens: 0, sampling: greedy, ignoreEndOfGeneration: true })
    expect(result.stopReason).toBe('length')
    expect(ids.length).toBeGreaterThanOrEqual(6)
    expect(ids.length).toBeLessThanOrEqual(7)
    await expect(answer(newSession(8), { tokens: prompt, maxTokens: 1, sampling: greedy })).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH' })
  })

  it('computes only the part of the prompt that the session does not hold', async () => {
    const session = newSession()
    const first = await answer(session, { tokens: prompt, maxTokens: 10, sampling: greedy, ignoreEndOfGeneration: true })
    expect(first.result.cachedTokens).toBe(0)
    const longer = [...prompt, ...first.ids]
    const second = await answer(session, { tokens: longer, maxTokens: 14, sampling: greedy, ignoreEndOfGeneration: true })
    // The last sampled token was never evaluated, and the last prompt token always is.
    expect(second.result.cachedTokens).toBe(longer.length - 1)
    expect([...first.ids, ...second.ids]).toEqual(greedyCheck.continuation_ids)
    const third = await answer(session, { tokens: [...prompt.slice(0, 5), 300, 301], maxTokens: 1, sampling: greedy })
    expect(third.result.cachedTokens).toBe(5)
  })

  it('gives two sessions at once what each gives alone', async () => {
    const requests = [3, 4].map(seed => ({
      tokens: seed === 3 ? prompt : prompt.slice(0, 9), maxTokens: 60, sampling: { ...wild, seed }, ignoreEndOfGeneration: true,
    }))
    const alone: number[][] = []
    for (const request of requests) alone.push((await answer(newSession(), request)).ids)
    const together = await Promise.all(requests.map(request => answer(newSession(), request)))
    expect(together.map(each => each.ids)).toEqual(alone)
  })
})

describe('constraints', () => {
  const run = async (sampling: Partial<typeof wild>, maxTokens = 60): Promise<{ text: string, stopReason: string }> => {
    const { text, result } = await answer(newSession(), { tokens: prompt, maxTokens, sampling: { ...wild, ...sampling } })
    return { text, stopReason: result.stopReason }
  }

  it('keep the answer within a grammar and end it when the grammar ends', async () => {
    for (const seed of [1, 2, 3]) {
      const { text, stopReason } = await run({ seed, grammar: 'root ::= ("yes" | "no") " " [0-9]{3}' })
      expect(text).toMatch(/^(yes|no) [0-9]{3}$/)
      expect(stopReason).toBe('stop')
    }
  })

  it('make JSON of a schema', async () => {
    const schema = { type: 'object', properties: { name: { type: 'string', maxLength: 8 }, age: { type: 'integer', minimum: 0, maximum: 99 } }, required: ['name', 'age'] }
    for (const seed of [1, 2, 3]) {
      const { text, stopReason } = await run({ seed, jsonSchema: JSON.stringify(schema) }, 200)
      const value = JSON.parse(text) as { name: unknown, age: unknown }
      expect(value).toEqual({ name: expect.any(String), age: expect.any(Number) })
      expect(stopReason).toBe('stop')
    }
  })

  it('say where they do not parse', async () => {
    await expect(run({ grammar: 'root ::= "a" | missing' })).rejects.toMatchObject({ code: 'E_GRAMMAR', message: expect.stringContaining('missing') })
    await expect(run({ jsonSchema: '{"type": "nothing"}' })).rejects.toMatchObject({ code: 'E_GRAMMAR' })
    await expect(run({ jsonSchema: '{' })).rejects.toMatchObject({ code: 'E_GRAMMAR' })
  })
})

describe('cancelling', () => {
  it('stops a generation within a token of the abort', async () => {
    const controller = new AbortController()
    const session = newSession(4096)
    let abortedAt = 0
    const { result, ids } = await answer(session, { tokens: prompt, maxTokens: 4000, sampling: wild, ignoreEndOfGeneration: true }, {
      signal: controller.signal,
      onToken: (_, index) => {
        if (index !== 5) return
        abortedAt = performance.now()
        controller.abort()
      },
    })
    expect(performance.now() - abortedAt).toBeLessThan(500)
    expect(result.stopReason).toBe('cancelled')
    // Tokens come in batches of some 10 ms: those made before the abort still arrive.
    expect(ids.length).toBeLessThan(400)
    expect(result.generatedTokens).toBe(ids.length)
    const next = await answer(session, { tokens: prompt, maxTokens: 24, sampling: greedy, ignoreEndOfGeneration: true })
    expect(next.ids).toEqual(greedyCheck.continuation_ids)
  })

  it('stops in the middle of a long prompt', async () => {
    const controller = new AbortController()
    const session = newSession(8192)
    const tokens = Array.from({ length: 8000 }, (_, i) => 300 + i % 1000)
    setTimeout(() => { controller.abort() }, 20)
    const start = performance.now()
    const { result, ids } = await answer(session, { tokens, maxTokens: 10, sampling: greedy }, { signal: controller.signal })
    expect([result.stopReason, ids]).toEqual(['cancelled', []])
    expect(performance.now() - start).toBeLessThan(2000)
    expect(session.seqLen).toBeLessThan(8000)
  })

  it('does nothing for a signal that was aborted before', async () => {
    const session = newSession()
    const { ids, result } = await answer(session, { tokens: prompt, maxTokens: 10, sampling: greedy }, { signal: AbortSignal.abort() })
    expect([ids, result.stopReason, session.seqLen]).toEqual([[], 'cancelled', 0])
    await expect(session.logits(prompt, AbortSignal.abort())).rejects.toMatchObject({ code: 'E_CANCELLED' })
    await expect(createEngine().load(demoPath, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'E_CANCELLED' })
  })

  it('interrupts logits', async () => {
    const session = newSession(4096)
    const controller = new AbortController()
    const tokens = Array.from({ length: 4000 }, (_, i) => 300 + i % 1000)
    const pending = session.logits(tokens, controller.signal)
    setTimeout(() => { controller.abort() }, 5)
    await expect(pending).rejects.toMatchObject({ code: 'E_CANCELLED' })
    await session.logits(prompt)
    expect(session.seqLen).toBe(prompt.length)
  })

  it('stops and tells the caller when the caller\'s callback throws', async () => {
    const session = newSession(4096)
    const failing = answer(session, { tokens: prompt, maxTokens: 4000, sampling: wild, ignoreEndOfGeneration: true }, {
      onToken: () => { throw new Error('reader gone') },
    })
    await expect(failing).rejects.toThrow('reader gone')
    expect((await answer(session, { tokens: prompt, maxTokens: 2, sampling: greedy })).ids).toHaveLength(2)
  })
})

describe('routing', () => {
  it('drains what the router chose, prefill first, then decode', async () => {
    const session = newSession()
    expect(session.drainRouting()).toBeUndefined()
    await answer(session, { tokens: prompt, maxTokens: 11, sampling: greedy, ignoreEndOfGeneration: true })
    const [prefill, decode] = [session.drainRouting(), session.drainRouting()]
    expect(session.drainRouting()).toBeUndefined()
    const { nLayers, nRoutedExperts, nActiveExperts } = model.moe!
    expect([prefill?.prefill, prefill?.nTokens, prefill?.firstToken]).toEqual([true, prompt.length, 0])
    expect([decode?.prefill, decode?.nTokens, decode?.firstToken]).toEqual([false, 10, prompt.length])
    for (const part of [prefill!, decode!]) {
      expect(part.count).toHaveLength(nLayers * nRoutedExperts)
      expect(part.count.reduce((a, b) => a + b, 0)).toBe(part.nTokens * nLayers * nActiveExperts)
      expect(part.lastIds).toHaveLength(nLayers * nActiveExperts)
      expect(part.lastIds.every(id => id < nRoutedExperts)).toBe(true)
      expect(part.lastWeights.every(weight => weight > 0)).toBe(true)
    }
    // Looking at a text is no part of the conversation.
    await session.route(prompt)
    await session.logits(prompt)
    expect(session.drainRouting()).toBeUndefined()
  })

  it('keeps nothing of answers that are not watched', async () => {
    const session = newSession()
    const request = { tokens: prompt, maxTokens: 5, sampling: greedy, ignoreEndOfGeneration: true }
    session.watchRouting(false)
    const unwatched = await answer(session, request)
    expect(session.drainRouting()).toBeUndefined()
    session.watchRouting(true)
    expect((await answer(session, request)).ids).toEqual(unwatched.ids)
    expect(session.drainRouting()?.nTokens).toBeGreaterThan(0)
    session.close()
    expect(() => session.watchRouting(true)).toThrow(expect.objectContaining({ code: 'E_CONFLICT' }))
  })

  it('shows the same last experts as a route over the same tokens', async () => {
    const session = newSession()
    await answer(session, { tokens: prompt, maxTokens: 1, sampling: greedy })
    const drained = session.drainRouting()!
    const trace = await session.route(prompt)
    const nActive = model.moe!.nActiveExperts
    expect([...drained.lastIds]).toEqual(trace.layers.flatMap(layer => [...layer.ids.slice(-nActive)]))
  })
})

describe('snapshots', () => {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-snapshot-'))
  afterAll(() => { rmSync(folder, { recursive: true }) })

  it('continue where they were saved', async () => {
    const path = join(folder, 'a.snapshot')
    const session = newSession()
    await answer(session, { tokens: prompt, maxTokens: 8, sampling: greedy, ignoreEndOfGeneration: true })
    await session.snapshot(path)
    const restored = newSession()
    await restored.restore(path)
    expect(restored.seqLen).toBe(session.seqLen)
    const longer = [...prompt, ...greedyCheck.continuation_ids.slice(0, 8)]
    const { ids, result } = await answer(restored, { tokens: longer, maxTokens: 16, sampling: greedy, ignoreEndOfGeneration: true })
    expect(result.cachedTokens).toBe(longer.length - 1)
    expect(ids).toEqual(greedyCheck.continuation_ids.slice(8))
  })

  it('refuses damaged files and missing folders, and keeps the session', async () => {
    const session = newSession()
    await session.logits(prompt)
    writeFileSync(join(folder, 'broken'), 'no snapshot')
    await expect(session.restore(join(folder, 'broken'))).rejects.toMatchObject({ code: 'E_GGUF' })
    await expect(session.restore(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'E_IO' })
    await expect(session.snapshot(join(folder, 'no/such/folder'))).rejects.toMatchObject({ code: 'E_IO' })
    expect(session.seqLen).toBe(prompt.length)
  })
})
