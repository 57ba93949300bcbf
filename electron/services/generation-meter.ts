import type { GenerationStats } from '../contract'
import type { GenerationResult } from '../engine/types'

const statsEveryMs = 500

// Figures while the answer grows; the engine's own replace them at the end.
export class GenerationMeter {
  cached = 0
  private readonly startedAt = performance.now()
  private firstAt = 0
  private lastAt = 0
  private reportedAt = this.startedAt
  private nTokens = 0

  constructor(private readonly promptTokens: number, readonly maxSeqLen: number, readonly seed: number) {}

  count(): void {
    this.lastAt = performance.now()
    if (this.nTokens++ === 0) this.firstAt = this.lastAt
  }

  due(): boolean {
    if (this.lastAt - this.reportedAt < statsEveryMs) return false
    this.reportedAt = this.lastAt
    return true
  }

  now(): Omit<GenerationStats, 'stopReason'> {
    const promptMs = this.firstAt - this.startedAt
    const decodeMs = this.lastAt - this.firstAt
    return this.stats({
      promptTokens: this.promptTokens, cachedTokens: this.cached, generatedTokens: this.nTokens,
      promptMs, decodeMs, timeToFirstTokenMs: promptMs,
    })
  }

  stats(figures: Pick<GenerationStats, 'promptTokens' | 'cachedTokens' | 'generatedTokens' | 'promptMs' | 'decodeMs' | 'timeToFirstTokenMs'>): Omit<GenerationStats, 'stopReason'> {
    const perSecond = (n: number, milliseconds: number): number => (milliseconds > 0 && n > 0 ? n * 1000 / milliseconds : 0)
    return {
      ...figures,
      // The first token comes out of the prompt's last step.
      tokensPerSecond: perSecond(figures.generatedTokens - 1, figures.decodeMs),
      promptTokensPerSecond: perSecond(figures.promptTokens - figures.cachedTokens, figures.promptMs),
      seqLen: figures.promptTokens + figures.generatedTokens, maxSeqLen: this.maxSeqLen, seed: this.seed,
    }
  }
}

export function finalStats(meter: GenerationMeter, result: GenerationResult, stoppedBy: string | undefined): GenerationStats {
  const { promptTokens, cachedTokens, generatedTokens, promptMs, decodeMs, timeToFirstTokenMs, stopReason, draft } = result
  return {
    ...meter.stats({ promptTokens, cachedTokens, generatedTokens, promptMs, decodeMs, timeToFirstTokenMs }),
    stopReason: stoppedBy === undefined ? stopReason : 'stop',
    ...(draft && draft.reason !== 'no_draft_layer' && { draft }),
  }
}
