// How events reach the event loop: batched at high rates, at once when somebody waits.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Addon, GenerateEvents, ModelHandle, SessionHandle } from '../../native/addon'
import { demoPath, greedyCheck, rawAddon, rawRequest } from './support'

interface Batch { at: number, events: GenerateEvents }

let addon: Addon
let model: ModelHandle

beforeAll(async () => {
  addon = rawAddon()
  model = await addon.loadModel(demoPath, { threads: 1, overrides: { 'deepseek2.context_length': '8192' } })
})
afterAll(async () => { await addon.closeModel(model) })

const session = (): SessionHandle => addon.createSession(model, 8192, 'f16')

async function collect(maxTokens: number, onBatch: (batch: Batch, index: number) => void = () => undefined): Promise<Batch[]> {
  const batches: Batch[] = []
  await addon.generate(session(), rawRequest(greedyCheck.prompt_ids, maxTokens), events => {
    const batch = { at: performance.now(), events }
    batches.push(batch)
    onBatch(batch, batches.length - 1)
  })
  return batches
}

describe('token events', () => {
  // A busy machine wakes this thread late, never early: one good run of three is proof.
  it('come in order, at most once in 10 ms, the first one at once', { retry: 2 }, async () => {
    const start = performance.now()
    const batches = await collect(400)
    const elapsed = performance.now() - start
    const tokens = batches.flatMap(batch => batch.events.tokens)
    expect(tokens.map(token => token.position)).toEqual(Array.from({ length: 400 }, (_, i) => greedyCheck.prompt_ids.length + i))
    // Beside the regular wake-ups: prompt progress, the first token, the end.
    expect(batches.length).toBeLessThanOrEqual(elapsed / 10 + 4)
    const first = batches.find(batch => batch.events.tokens.length > 0)!
    expect(first.events.tokens.length).toBeLessThan(20)
    for (const [i, batch] of batches.entries()) {
      const previous = batches[i - 1]
      if (previous && batch !== first && i < batches.length - 1) expect(batch.at - previous.at).toBeGreaterThan(5)
    }
  })

  it('wait for a reader that is busy, and none is lost', async () => {
    let blocked = false
    const batches = await collect(300, batch => {
      if (blocked || batch.events.tokens.length === 0) return
      blocked = true
      while (performance.now() - batch.at < 400);
    })
    expect(batches.flatMap(batch => batch.events.tokens)).toHaveLength(300)
    expect(Math.max(...batches.map(batch => batch.events.tokens.length))).toBeGreaterThan(10)
  })

  it('report the prompt before the tokens', async () => {
    const batches: GenerateEvents[] = []
    const prompt = Array.from({ length: 3000 }, (_, i) => 300 + i % 1000)
    await addon.generate(session(), rawRequest(prompt, 3), events => { batches.push(events) })
    const done = batches.flatMap(events => (events.progress ? [events.progress.tokensDone] : []))
    expect(done).toEqual([...done].sort((a, b) => a - b))
    expect(done.at(-1)).toBe(3000)
    const firstToken = batches.findIndex(events => events.tokens.length > 0)
    expect(batches.slice(firstToken + 1).every(events => events.progress === undefined)).toBe(true)
  })
})

describe('the event loop', () => {
  it('goes on while the engine works', async () => {
    let ticks = 0
    const timer = setInterval(() => { ticks++ }, 5)
    const start = performance.now()
    await addon.logits(session(), new Int32Array(4000).fill(300))
    const elapsed = performance.now() - start
    clearInterval(timer)
    expect(ticks).toBeGreaterThan(elapsed / 50)
  })

  it('serves thirty calls at once', async () => {
    const calls = Array.from({ length: 30 }, async (_, i) => {
      if (i % 3 === 0) return (await addon.inspect(demoPath, {})).info.vocabSize
      if (i % 3 === 1) return (await addon.logits(session(), Int32Array.of(300))).length
      return await addon.generate(session(), rawRequest([300], 5), () => undefined).then(end => end.generatedTokens)
    })
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 30 }, (_, i) => (i % 3 === 2 ? 5 : 4096)))
  })
})
