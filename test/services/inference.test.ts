import { expect, test } from 'vitest'
import type { InferenceOutcome } from '../../electron/services/inference'
import { plainConversation } from '../../electron/services/prompt'
import { codeOf, openWithModel, until } from './workplace'

const user = (content: string): { role: string, content: string }[] => [{ role: 'user', content }]

test('renders the template, streams, and reuses what a session holds', async () => {
  const { inference, engine } = await openWithModel()
  const events: string[] = []
  const first = await inference.generate({ modelId: 'tiny', messages: user('Hello'), sampling: { seed: 7 } }, {
    onLoadProgress: fraction => { if (fraction === 1) events.push('loaded') },
    onAdmitted: promptTokens => events.push(`admitted ${promptTokens}`),
    onPromptProgress: (processed, total, cached) => events.push(`prompt ${processed}/${total} (${cached})`),
    onContent: text => events.push(text),
  })
  expect(events).toEqual(['loaded', 'admitted 4', 'prompt 2/4 (0)', 'prompt 4/4 (0)', 'You', ' said', ':', ' Hello', '.'])
  expect(first).toMatchObject({ content: 'You said: Hello.', reasoning: '', stoppedBy: undefined, stats: { promptTokens: 4, cachedTokens: 0, generatedTokens: 5, stopReason: 'stop', seed: 7, maxSeqLen: 512, seqLen: 9 } })
  const messages = [...user('Hello'), { role: 'assistant', content: first.content }, { role: 'user', content: 'And now' }]
  const second = await inference.generate({ modelId: 'tiny', messages })
  expect(second.stats.cachedTokens).toBe(9)
  expect(engine.sessions.length).toBe(1)
  await inference.generate({ modelId: 'tiny', messages: user('Quite another thing') })
  expect((await inference.generate({ modelId: 'tiny', messages })).stats.cachedTokens).toBeGreaterThan(9)
  expect(engine.sessions.length).toBe(2)
})

test('splits reasoning from content, unless told not to', async () => {
  const { inference } = await openWithModel({ answer: () => '<think>Let me see.</think>\n\nForty two.' })
  const reasoning: string[] = []
  const ends: number[] = []
  const split = await inference.generate({ modelId: 'tiny', messages: user('x') }, { onReasoning: text => reasoning.push(text), onReasoningEnd: ms => ends.push(ms) })
  expect(split).toMatchObject({ reasoning: 'Let me see.', content: 'Forty two.' })
  expect(reasoning.join('')).toBe('Let me see.')
  expect(ends.length).toBe(1)
  const kept = await inference.generate({ modelId: 'tiny', messages: user('x'), splitReasoning: false })
  expect(kept).toMatchObject({ reasoning: '', content: '<think>Let me see.</think>\n\nForty two.' })
})

test('stop strings end the answer and the engine', async () => {
  const { inference } = await openWithModel({ answer: () => 'one two three four five' })
  const seen: string[] = []
  const outcome = await inference.generate({ modelId: 'tiny', messages: user('x'), stop: [' three', 'nothing'] }, { onToken: ({ text }) => seen.push(text) })
  expect(outcome).toMatchObject({ content: 'one two', stoppedBy: ' three', stats: { stopReason: 'stop' } })
  expect(seen).toEqual(['one', ' two', ' three'])
})

test('refuses what does not fit with the numbers, before anything is generated', async () => {
  const { inference, engine } = await openWithModel({ maxSeqLen: 20 })
  const long = user(Array.from({ length: 30 }, (_, i) => `w${i}`).join(' '))
  await expect(inference.generate({ modelId: 'tiny', messages: long })).rejects.toMatchObject({
    code: 'E_CONTEXT_LENGTH', message: 'This model\'s maximum context length is 20 tokens, but the request has 33 (prompt 33 + max_tokens 0).', detail: { promptTokens: 33, maxTokens: 0, maxSeqLen: 20 },
  })
  expect(await codeOf(inference.generate({ modelId: 'tiny', messages: user('x'), maxTokens: 17 }))).toBe('E_CONTEXT_LENGTH')
  expect(engine.sessions).toEqual([])
  const { stats } = await inference.generate({ modelId: 'tiny', messages: user('a b c d e f g h i j'), maxTokens: 1000, maxTokensIsCap: true })
  expect(stats).toMatchObject({ stopReason: 'length', seqLen: 20 })
  expect((await inference.generate({ modelId: 'tiny', messages: user('x'), maxTokens: 2 })).stats).toMatchObject({ stopReason: 'length', generatedTokens: 2 })
  expect(await inference.countTokens({ modelId: 'tiny', messages: user('x') })).toBe(4)
})

test('raw prompts and token ids', async () => {
  const { inference } = await openWithModel({ answer: prompt => `[${prompt}] <think>` })
  const outcome = await inference.generate({ modelId: 'tiny', prompt: 'Once upon' })
  expect(outcome.content).toBe('[Once upon] <think>')
  expect((await inference.generate({ modelId: 'tiny', prompt: [1, 2] })).stats.promptTokens).toBe(2)
  expect(await codeOf(inference.generate({ modelId: 'tiny', prompt: [1, 100_000] }))).toBe('E_BAD_REQUEST')
  expect(await codeOf(inference.generate({ modelId: 'tiny', prompt: '' }))).toBe('E_BAD_REQUEST')
  expect(await codeOf(inference.generate({ modelId: 'tiny', messages: [] }))).toBe('E_BAD_REQUEST')
})

test('a model without a template gets the plain form, which ends where the user would speak', async () => {
  const { inference } = await openWithModel({ chatTemplate: '', answer: prompt => `${prompt}\n\nUser: and so on` })
  const messages = [{ role: 'system', content: 'Be brief.' }, ...user('Hi')]
  expect(plainConversation(messages)).toBe('Be brief.\n\nUser: Hi\n\nAssistant:')
  expect((await inference.generate({ modelId: 'tiny', messages })).stoppedBy).toBe('\n\nUser:')
})

test('cancelling ends one request only; before admission it is an error, after it an outcome', async () => {
  const { inference, models } = await openWithModel({ tokenDelayMs: 5, answer: () => 'word '.repeat(100) })
  const early = new AbortController()
  early.abort()
  expect(await codeOf(inference.generate({ modelId: 'tiny', messages: user('x'), signal: early.signal }))).toBe('E_CANCELLED')
  const late = new AbortController()
  let tokens = 0
  const cancelled = inference.generate({ modelId: 'tiny', messages: user('a'), signal: late.signal }, { onToken: () => { if (++tokens === 3) late.abort() } })
  const other = inference.generate({ modelId: 'tiny', messages: user('b'), maxTokens: 10 })
  expect((await cancelled).stats).toMatchObject({ stopReason: 'cancelled', generatedTokens: 3 })
  expect((await other).stats).toMatchObject({ stopReason: 'length', generatedTokens: 10 })
  expect(models.status()).toMatchObject({ activeGenerations: 0, tokensPerSecond: 0 })
})

test('unloading under an answer fails it and leaves the host well', async () => {
  const { inference, models } = await openWithModel({ tokenDelayMs: 5, answer: () => 'word '.repeat(20) })
  let outcome: InferenceOutcome | undefined
  void inference.generate({ modelId: 'tiny', messages: user('a') }).then(value => { outcome = value })
  await until(() => models.running.length === 1, 'it runs')
  await models.unload('tiny')
  expect(models.loaded('tiny')).toBeUndefined()
  await until(() => outcome !== undefined, 'the answer ends')
  expect((await inference.generate({ modelId: 'tiny', messages: user('a'), maxTokens: 1 })).stats.generatedTokens).toBe(1)
})

test('drafts by measurement unless told otherwise, and tells what came of it', async () => {
  const { inference, engine } = await openWithModel({ nMtpLayers: 1 })
  const { stats } = await inference.generate({ modelId: 'tiny', messages: user('x') })
  expect(engine.requests.at(-1)?.draft).toEqual({ mode: 'auto', tokens: 1 })
  expect(stats.draft).toEqual({ isOn: true, reason: 'measuring', steps: 4, drafted: 4, accepted: 3, predictedSpeedup: 0 })
  expect((await inference.generate({ modelId: 'tiny', messages: user('x'), draft: { mode: 'always', tokens: 3 } })).stats.draft?.drafted).toBe(12)
  const plain = await openWithModel()
  expect((await plain.inference.generate({ modelId: 'tiny', messages: user('x') })).stats.draft).toBeUndefined()
})
