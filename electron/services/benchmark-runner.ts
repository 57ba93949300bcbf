// Single runs of one benchmark test, on sessions of its own. Prompts are random tokens. Where
// runs are compared with each other they repeat the same prompts, so that only what is compared
// differs.
import { WorkbenchError } from '../contract'
import type { CacheFormat, EngineModel, EngineSession, GenerationResult, Sampling } from '../engine/types'

export interface BenchmarkTest { nPrompt: number, nGenerate: number, depth: number }

interface Lane { session: EngineSession, prompt: Int32Array }

export interface RunnerOptions {
  cacheFormat: CacheFormat
  nSessions: number        // at most this many decode together
  repeatPrompts: boolean   // each decode continues the same prompts
  signal?: AbortSignal
}

// While the others wait for the one that is timed they go on generating.
const headStart = 256
// How often the routing trace is emptied while it is measured, as a live view does.
const drainInterval = 50

const greedy: Sampling = { temperature: 0, samplingTopK: 0, topP: 1, minP: 0, repeatPenalty: 1, seed: 1 }

export class BenchmarkRunner {
  private readonly lanes: Lane[]
  private drainTimer: NodeJS.Timeout | undefined
  private serial = 0

  constructor(private readonly model: EngineModel, private readonly test: BenchmarkTest, private readonly options: RunnerOptions) {
    // The last token drawn is never put into the cache: a test as long as the model's context fits.
    const needed = test.depth + test.nPrompt + test.nGenerate + 2 + (options.nSessions > 1 ? headStart + test.nGenerate : 0)
    const limit = model.card.maxSeqLen
    const maxSeqLen = limit > 0 ? Math.min(needed, limit) : needed
    this.lanes = Array.from({ length: options.nSessions }, () => ({
      session: model.createSession({ maxSeqLen, cacheFormat: options.cacheFormat }), prompt: new Int32Array(),
    }))
  }

  // Milliseconds of nPrompt prompt tokens behind the depth.
  async prefill(): Promise<number> {
    const [lane] = this.lanes
    if (!lane) return 0
    const { depth, nPrompt } = this.test
    const tokens = this.randomTokens(depth + nPrompt)
    if (depth > 0) await this.generate(lane.session, tokens.subarray(0, depth), 1)
    const result = await this.generate(lane.session, tokens, 1)
    return result.promptMs * nPrompt / (result.promptTokens - result.cachedTokens)
  }

  // Milliseconds of nGenerate steps in which nSessions sessions get a token each.
  async decode(nSessions: number): Promise<number> {
    const lanes = this.lanes.slice(0, nSessions)
    for (const lane of lanes) {
      if (this.options.repeatPrompts && lane.prompt.length > 0) continue
      lane.prompt = this.randomTokens(Math.max(1, this.test.depth))
      if (nSessions > 1) await this.generate(lane.session, lane.prompt, 1)
    }
    const [leader, ...others] = lanes
    if (!leader) return 0
    return others.length === 0 ? this.decodeOne(leader) : this.decodeTogether(leader, others)
  }

  // Whether the routing is traced from the next run on, and emptied meanwhile.
  watchRouting(watched: boolean): void {
    clearInterval(this.drainTimer)
    for (const { session } of this.lanes) session.watchRouting(watched)
    if (watched) this.drainTimer = setInterval(() => { for (const { session } of this.lanes) while (session.drainRouting()) { /* both phases */ } }, drainInterval)
  }

  close(): void {
    clearInterval(this.drainTimer)
    for (const { session } of this.lanes) session.close()
  }

  private async decodeOne({ session, prompt }: Lane): Promise<number> {
    const { nGenerate } = this.test
    // The first token comes out of the prompt; the following nGenerate are decode steps.
    const result = await this.generate(session, prompt, nGenerate + 1)
    if (result.generatedTokens <= nGenerate && result.stopReason !== 'cancelled') throw this.tooLong(prompt.length)
    return result.decodeMs
  }

  // The others are under way when the leader starts and go on until it has ended: each of its
  // steps decodes all of them.
  private async decodeTogether(leader: Lane, others: readonly Lane[]): Promise<number> {
    const stop = new AbortController()
    let nEnded = 0
    const runs: Promise<void>[] = []
    const started = others.map(({ session, prompt }) => new Promise<void>(resolve => {
      const run = this.generate(session, prompt, 0, { onToken: () => resolve(), stop: stop.signal }).then(() => { nEnded++ })
      runs.push(run)
      void run.then(resolve, () => resolve())
    }))
    try {
      await Promise.all(started)
      const milliseconds = await this.decodeOne(leader)
      if (nEnded > 0 && !this.options.signal?.aborted) throw this.tooLong(leader.prompt.length)
      return milliseconds
    } finally {
      stop.abort()
      await Promise.all(runs)
    }
  }

  private generate(session: EngineSession, tokens: Int32Array, maxTokens: number, { onToken, stop }: { onToken?: () => void, stop?: AbortSignal } = {}): Promise<GenerationResult> {
    const { signal: outer } = this.options
    const signal = outer && stop ? AbortSignal.any([outer, stop]) : outer ?? stop
    return session.generate({ tokens, maxTokens, sampling: greedy, ignoreEndOfGeneration: true }, { onToken: () => onToken?.(), ...(signal && { signal }) })
  }

  // The first token differs from that of every earlier prompt, so that nothing is reused.
  private randomTokens(n: number): Int32Array {
    this.serial = (this.serial + 1) % this.model.vocabSize
    return Int32Array.from({ length: n }, (_, i) => i === 0 ? this.serial : Math.floor(Math.random() * this.model.vocabSize))
  }

  private tooLong(promptTokens: number): WorkbenchError {
    const together = this.options.nSessions > 1 ? `, while ${this.options.nSessions} sessions decode,` : ''
    return new WorkbenchError('E_CONTEXT_LENGTH', `${this.test.nGenerate} tokens behind ${promptTokens}${together} do not fit this model's context of ${this.model.card.maxSeqLen}.`, { hint: 'Ask for fewer tokens.' })
  }
}
