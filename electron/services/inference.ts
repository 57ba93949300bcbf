// The one way to an answer, for the chat and for REST alike: load on demand, template, tokens,
// session with the longest common prefix, generation, split into reasoning and content.
import { WorkbenchError, type GenerationStats, type SamplingSettings } from '../contract'
import type { DraftSettings, EngineModel, GenerateRequest, GeneratedToken, Sampling } from '../engine/types'
import { reasoningTagsOf, tagTokenTexts } from './answer-splitter'
import { AnswerWriter, type AnswerEvents, type AnswerForm } from './answer-writer'
import { finalStats, GenerationMeter } from './generation-meter'
import type { LoadedInstance, ModelService, UseOptions } from './models'
import { plainConversationStop, preparePrompt, type PreparedPrompt, type PromptRequest } from './prompt'
import type { PooledSession } from './session-pool'

// What a caller may leave open is filled from defaultSampling.
export type SamplingRequest = Partial<Sampling>

export const defaultSampling: Omit<Sampling, 'seed'> = { temperature: 0.8, samplingTopK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1 }

// Exact, so everybody may have it: the engine measures whether it pays.
export const defaultDraft: DraftSettings = { mode: 'auto', tokens: 1 }

export interface InferenceRequest extends PromptRequest {
  modelId: string
  sampling?: SamplingRequest
  draft?: DraftSettings
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

export interface InferenceEvents extends AnswerEvents {
  onLoadProgress?(fraction: number): void
  // The request was admitted: it will produce output. Before this, failures are refusals.
  onAdmitted?(promptTokens: number): void
  onPromptProgress?(processed: number, total: number, cached: number): void
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
    const answer = new AnswerWriter(answerForm(instance.model, prompt, request), events)
    const meter = new GenerationMeter(prompt.tokens.length, pooled.session.maxSeqLen, sampling.seed)
    const done = this.models.beginGeneration(instance, pooled)
    pooled.held = Array.from(prompt.tokens)
    events.onAdmitted?.(prompt.tokens.length)
    try {
      const engineRequest: GenerateRequest = {
        tokens: prompt.tokens, maxTokens: request.maxTokens ?? 0, sampling, draft: request.draft ?? defaultDraft,
        ignoreEndOfGeneration: request.ignoreEndOfGeneration ?? false,
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

function answerForm(model: EngineModel, prompt: PreparedPrompt, { messages, splitReasoning = true, stop = [] }: InferenceRequest): AnswerForm {
  const tags = reasoningTagsOf(model.chatTemplate)
  const split = messages !== undefined && splitReasoning
  const plain = messages !== undefined && model.chatTemplate.trim() === ''
  return {
    tags: split ? tags : undefined, startsInReasoning: split && prompt.opensReasoning, stop: plain ? [...stop, ...plainConversationStop] : stop,
    tagTexts: tagTokenTexts(tags, tag => model.encode(tag, { addSpecial: false, parseSpecial: true })),
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

export function draftOf({ draft, draftTokens }: SamplingSettings): DraftSettings {
  return { mode: draft, tokens: draftTokens }
}

function loadOptions(request: InferenceRequest, events: InferenceEvents): UseOptions {
  return {
    loadOnDemand: request.loadOnDemand ?? true,
    ...(request.keepAliveMs !== undefined && { keepAliveMs: request.keepAliveMs }),
    ...(request.signal && { signal: request.signal }),
    ...(events.onLoadProgress && { onProgress: (fraction: number) => events.onLoadProgress?.(fraction) }),
  }
}
