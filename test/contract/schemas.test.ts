import { expect, it } from 'vitest'
import { GenerationStats, SamplingSettings } from '../../electron/contract'

const sampling = { temperature: 0.8, samplingTopK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1, seed: -1, maxTokens: 0 }
const stats = {
  promptTokens: 1, cachedTokens: 0, generatedTokens: 1, promptMs: 1, decodeMs: 1, timeToFirstTokenMs: 1, tokensPerSecond: 1, promptTokensPerSecond: 1,
  seqLen: 2, maxSeqLen: 9, seed: 1, stopReason: 'stop',
}

it('reads what was stored before drafts existed', () => {
  expect(SamplingSettings.parse(sampling)).toEqual({ ...sampling, draft: 'auto', draftTokens: 1 })
  expect(GenerationStats.parse(stats)).toEqual(stats)
})

it('refuses drafts out of range', () => {
  expect(SamplingSettings.safeParse({ ...sampling, draft: 'maybe' }).success).toBe(false)
  for (const draftTokens of [0, 9, 1.5]) expect(SamplingSettings.safeParse({ ...sampling, draftTokens }).success).toBe(false)
  expect(SamplingSettings.parse({ ...sampling, draft: 'always', draftTokens: 8 }).draftTokens).toBe(8)
})
