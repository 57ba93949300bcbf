// The one way to an answer, for the chat and for REST alike: load on demand, template, tokens,
// session with the longest common prefix, generation, split into reasoning and content.
import { WorkbenchError, type GenerationStats, type SamplingSettings } from '../contract'
import type { EngineModel, GenerateRequest, GeneratedToken, GenerationResult, Sampling } from '../engine/types'
import { AnswerSplitter, promptOpensReasoning, reasoningTagsOf, tagTokenTexts, type AnswerPiece } from './answer-splitter'
import { renderChatTemplate, type TemplateMessage } from './chat-template'
import type { LoadedInstance, ModelService, UseOptions } from './models'
import type { PooledSession } from './session-pool'

// What a caller may leave open is filled from defaultSampling.
export type SamplingRequest = Partial<Sampling>

export const defaultSampling: Omit<Sampling, 'seed'> = { temperature: 0.8, samplingTopK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1 }

export interface InferenceRequest {
  modelId: string
  // A conversation, rendered by the model's chat template …
  messages?: TemplateMessage[]
  // … or text or tokens as they are.
  prompt?: string | ArrayLike<number>
  // Variables for the template: tools, enable_thinking.
  templateVariables?: Record<string, unknown>
  // Whether the template opens the assistant's turn; true when absent.
  addGenerationPrompt?: boolean
  sampling?: SamplingRequest
  // 0 or absent: what is left of the context.
  maxTokens?: number
  // True: a limit that does not fit is lowered to what is left instead of refused.
  maxTokensIsCap?: boolean
  stop?: readonly string[]
  // False: reasoning tags stay in the content. Raw prompts are never split.
  splitReasoning?: boolean
  ignoreEndOfGeneration?: boolean
  // Who asks: a conversation or a client; shown by the routing view.
  owner?: string
  // False: E_LOADING instead of loading a model that is not loaded.
  loadOnDemand?: boolean
  // Idle time after which a model that this request loaded is unloaded again; never when absent.
  keepAliveMs?: number
  signal?: AbortSignal
}

export interface InferenceEvents {
  onLoadProgress?(fraction: number): void
  // The request was admitted: it will produce output. Before this, failures are refusals.
  onAdmitted?(promptTokens: number): void
  onPromptProgress?(processed: number, total: number, cached: number): void
  onReasoning?(text: string): void
  onReasoningEnd?(reasoningMs: number): void
  onContent?(text: string): void
  // Every token with its probabilities, before it is split into reasoning and content.
  onToken?(token: GeneratedToken): void
  onStats?(stats: Omit<GenerationStats, 'stopReason'>): void
}

export interface InferenceOutcome {
  content: string
  reasoning: string
  reasoningMs: number
  // The stop string or token that ended the answer.
  stoppedBy: string | undefined
  stats: GenerationStats
}

export interface PreparedPrompt { text: string, tokens: Int32Array, opensReasoning: boolean }

const statsEveryMs = 500

export class InferenceService {
  constructor(private readonly models: ModelService) {}

  // Counts the prompt of a request; loads the model when allowed.
  async countTokens(request: InferenceRequest): Promise<number> {
    return this.models.use(request.modelId, loadOptions(request, {}), async ({ model }) => (await preparePrompt(model, request)).tokens.length)
  }

  // Runs to the end. A cancelled request resolves with stopReason 'cancelled' once it was
  // admitted, and throws E_CANCELLED before.
  generate(request: InferenceRequest, events: InferenceEvents = {}): Promise<InferenceOutcome> {
    return this.models.use(request.modelId, loadOptions(request, events), async instance => {
      const prompt = await preparePrompt(instance.model, request)
      const maxTokens = admit(instance, prompt.tokens.length, request)
      const pooled = await instance.pool.acquire(prompt.tokens, request.owner ?? '', request.signal)
      try {
        return await this.run(instance, pooled, prompt, { ...request, maxTokens }, events)
      } finally {
        instance.pool.release(pooled)
      }
    })
  }

  private async run(
    instance: LoadedInstance, pooled: PooledSession, prompt: PreparedPrompt, request: InferenceRequest, events: InferenceEvents,
  ): Promise<InferenceOutcome> {
    const sampling = withDefaults(request.sampling)
    const answer = new AnswerWriter(instance.model, prompt, request, events)
    const meter = new StatsMeter(prompt.tokens.length, pooled.session.maxSeqLen, sampling.seed)
    const done = this.models.beginGeneration(instance, pooled)
    pooled.held = Array.from(prompt.tokens)
    events.onAdmitted?.(prompt.tokens.length)
    try {
      const engineRequest: GenerateRequest = {
        tokens: prompt.tokens, maxTokens: request.maxTokens ?? 0, sampling, ignoreEndOfGeneration: request.ignoreEndOfGeneration ?? false,
      }
      const result = await pooled.session.generate(engineRequest, {
        signal: request.signal ? AbortSignal.any([request.signal, answer.stopped]) : answer.stopped,
        onPromptProgress: (processed, total, cached) => {
          meter.cached = cached
          events.onPromptProgress?.(processed, total, cached)
        },
        onToken: token => {
          if (answer.stoppedBy !== undefined) return
          pooled.held.push(token.id)
          meter.count()
          this.models.countToken()
          events.onToken?.(token)
          answer.push(token)
          if (events.onStats && meter.due()) events.onStats(meter.now())
        },
      })
      // What is left when the answer ended inside a character.
      if (result.trailingText) answer.push({ id: -1, text: result.trailingText })
      answer.finish()
      const stats = finalStats(meter, result, answer.stoppedBy)
      events.onStats?.(stats)
      return { content: answer.content, reasoning: answer.reasoning, reasoningMs: answer.reasoningMs, stoppedBy: answer.stoppedBy, stats }
    } catch (error) {
      // What the session holds is uncertain now.
      pooled.held = []
      throw error
    } finally {
      done()
    }
  }
}

// The text and tokens of a request. Models without a chat template get the plain form of
// plainConversation.
export async function preparePrompt(model: EngineModel, request: InferenceRequest): Promise<PreparedPrompt> {
  const { prompt, messages } = request
  if (prompt !== undefined && typeof prompt !== 'string') {
    const tokens = Int32Array.from(prompt)
    const bad = tokens.find(token => token < 0 || token >= model.vocabSize)
    if (bad !== undefined) throw new WorkbenchError('E_BAD_REQUEST', `The prompt has the token ${bad}, but this model's vocabulary ends at ${model.vocabSize - 1}.`)
    return { text: '', tokens, opensReasoning: false }
  }
  if (typeof prompt === 'string') {
    return { text: prompt, tokens: model.encode(prompt, { addSpecial: true, parseSpecial: true }), opensReasoning: false }
  }
  if (!messages || messages.length === 0) throw new WorkbenchError('E_BAD_REQUEST', 'The request has no messages.')
  const templated = model.chatTemplate.trim() !== ''
  const text = templated
    ? await renderChatTemplate(model.chatTemplate, {
      messages, addGenerationPrompt: request.addGenerationPrompt ?? true,
      bosToken: model.specialTokens.bos, eosToken: model.specialTokens.eos,
      ...(request.templateVariables && { extra: request.templateVariables }),
    })
    : plainConversation(messages)
  // Most templates write the begin token themselves; a second one would hurt the answer.
  const { bos } = model.specialTokens
  const addSpecial = !(bos !== '' && text.startsWith(bos))
  return { text, tokens: model.encode(text, { addSpecial, parseSpecial: true }), opensReasoning: promptOpensReasoning(text, reasoningTagsOf(model.chatTemplate)) }
}

// For models that were never taught to converse: one paragraph per message with the speaker's
// name before it, and an open one for the answer.
export function plainConversation(messages: readonly TemplateMessage[]): string {
  const names = new Map([['user', 'User'], ['assistant', 'Assistant']])
  const paragraphs = messages.map(({ role, content }) => {
    const name = names.get(role)
    return name ? `${name}: ${content}` : content
  })
  return `${paragraphs.join('\n\n')}\n\nAssistant:`
}

export const plainConversationStop = ['\n\nUser:', '\nUser:'] as const

// Collects the answer and finds its end.
class AnswerWriter {
  content = ''
  reasoning = ''
  reasoningMs = 0
  private readonly splitter: AnswerSplitter
  private readonly stop = new AbortController()
  private readonly tagTexts: ReadonlyMap<number, string>
  private reasoningSince: number | undefined

  constructor(model: EngineModel, prompt: PreparedPrompt, request: InferenceRequest, private readonly events: InferenceEvents) {
    const split = request.messages !== undefined && (request.splitReasoning ?? true)
    const plain = request.messages !== undefined && model.chatTemplate.trim() === ''
    this.tagTexts = tagTokenTexts(reasoningTagsOf(model.chatTemplate), tag => model.encode(tag, { addSpecial: false, parseSpecial: true }))
    this.splitter = new AnswerSplitter({
      tags: split ? reasoningTagsOf(model.chatTemplate) : undefined,
      startsInReasoning: split && prompt.opensReasoning,
      stop: [...request.stop ?? [], ...plain ? plainConversationStop : []],
    })
  }

  get stopped(): AbortSignal { return this.stop.signal }
  get stoppedBy(): string | undefined { return this.splitter.stoppedBy }

  push(token: Pick<GeneratedToken, 'id' | 'text'>): void {
    this.take(this.splitter.push(this.tagTexts.get(token.id) ?? token.text))
    if (this.splitter.inReasoning) this.reasoningSince ??= performance.now()
    else this.endReasoning()
    if (this.splitter.stoppedBy !== undefined) this.stop.abort()
  }

  finish(): void {
    this.take(this.splitter.finish())
    this.endReasoning()
  }

  private take(pieces: AnswerPiece[]): void {
    for (const { type, text } of pieces) {
      if (type === 'reasoning') {
        this.reasoningSince ??= performance.now()
        this.reasoning += text
        this.events.onReasoning?.(text)
      } else {
        this.endReasoning()
        this.content += text
        this.events.onContent?.(text)
      }
    }
  }

  private endReasoning(): void {
    if (this.reasoningSince === undefined) return
    this.reasoningMs = performance.now() - this.reasoningSince
    this.reasoningSince = undefined
    if (this.reasoning !== '') this.events.onReasoningEnd?.(this.reasoningMs)
  }
}

// Figures while the answer grows; the engine's own replace them at the end.
class StatsMeter {
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

function finalStats(meter: StatsMeter, result: GenerationResult, stoppedBy: string | undefined): GenerationStats {
  const { promptTokens, cachedTokens, generatedTokens, promptMs, decodeMs, timeToFirstTokenMs, stopReason } = result
  return {
    ...meter.stats({ promptTokens, cachedTokens, generatedTokens, promptMs, decodeMs, timeToFirstTokenMs }),
    stopReason: stoppedBy === undefined ? stopReason : 'stop',
  }
}

// Refuses what does not fit, with the numbers; returns the token limit to run with.
function admit({ maxSeqLen }: LoadedInstance, promptTokens: number, request: InferenceRequest): number {
  const wanted = request.maxTokens ?? 0
  if (promptTokens === 0) throw new WorkbenchError('E_BAD_REQUEST', 'The prompt is empty.')
  const needed = request.maxTokensIsCap ? 1 : Math.max(wanted, 1)
  if (promptTokens + needed <= maxSeqLen) return Math.min(wanted, maxSeqLen - promptTokens)
  throw new WorkbenchError('E_CONTEXT_LENGTH',
    `This model's maximum context length is ${maxSeqLen} tokens, but the request has ${promptTokens + wanted} (prompt ${promptTokens} + max_tokens ${wanted}).`, {
      hint: 'Shorten the conversation or ask for fewer tokens; a model can also be loaded with a larger context.',
      detail: { promptTokens, maxTokens: wanted, maxSeqLen },
    })
}

function withDefaults(request: SamplingRequest = {}): Sampling {
  const given = Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)) as SamplingRequest
  const seed = given.seed !== undefined && given.seed >= 0 ? given.seed : Math.floor(Math.random() * 2 ** 32)
  return { ...defaultSampling, ...given, seed }
}

// The window's settings as a request; the token limit travels apart.
export function samplingOf({ temperature, samplingTopK, topP, minP, repeatPenalty, seed }: SamplingSettings): SamplingRequest {
  return { temperature, samplingTopK, topP, minP, repeatPenalty, seed }
}

function loadOptions(request: InferenceRequest, events: InferenceEvents): UseOptions {
  return {
    loadOnDemand: request.loadOnDemand ?? true,
    ...(request.keepAliveMs !== undefined && { keepAliveMs: request.keepAliveMs }),
    ...(request.signal && { signal: request.signal }),
    ...(events.onLoadProgress && { onProgress: (fraction: number) => events.onLoadProgress?.(fraction) }),
  }
}
