// A session over its native handle.
import type { Addon, GenerateEnd, GenerateEvents, GenerateRequest as NativeRequest, RoutingPhase, SessionHandle } from '../../native/addon'
import { WorkbenchError } from '../contract/errors'
import { withCancel } from './native-cancel'
import { awaitNative, callNative } from './native-errors'
import { toTokens } from './native-tokens'
import type { EngineSession, GenerateRequest, GenerationResult, RouteTrace, RoutingDrain, Sampling } from './types'

type GenerateOptions = Parameters<EngineSession['generate']>[1]

export class NativeSession implements EngineSession {
  readonly maxSeqLen: number
  readonly #addon: Addon
  readonly #handle: SessionHandle
  // A drain may find both phases; the second waits for the next call.
  #phases: RoutingPhase[] = []
  #seqLen = 0
  #closed = false

  constructor(addon: Addon, handle: SessionHandle) {
    this.#addon = addon
    this.#handle = handle
    this.maxSeqLen = callNative(() => addon.sessionInfo(handle)).maxSeqLen
  }

  // After close, and after the model's close, the length it had.
  get seqLen(): number {
    if (!this.#closed) {
      try {
        this.#seqLen = this.#addon.sessionInfo(this.#handle).seqLen
      } catch {
        this.#closed = true
      }
    }
    return this.#seqLen
  }

  async generate(request: GenerateRequest, options: GenerateOptions): Promise<GenerationResult> {
    const native = toNativeRequest(request)
    let failure: unknown
    const end = await withCancel(this.#addon, options.signal, async cancel => {
      const onEvents = (events: GenerateEvents): void => {
        if (failure !== undefined) return
        try {
          report(events, options)
        } catch (cause) {
          // The caller's callback failed: nobody reads on, so stop and tell the caller.
          failure = cause ?? new WorkbenchError('E_INTERNAL', 'a callback threw undefined')
          this.#addon.cancel(cancel)
        }
      }
      try {
        return await awaitNative(() => this.#addon.generate(this.#handle, native, onEvents, cancel))
      } catch (cause) {
        if (cause instanceof WorkbenchError && cause.code === 'E_CANCELLED') return cancelledBeforeStart(native)
        throw cause
      }
    })
    if (failure !== undefined) throw failure
    return toResult(end)
  }

  async logits(tokens: ArrayLike<number>, signal?: AbortSignal): Promise<Float32Array> {
    const ids = toTokens(tokens, 'tokens')
    return await withCancel(this.#addon, signal, cancel => awaitNative(() => this.#addon.logits(this.#handle, ids, cancel)))
  }

  async route(tokens: ArrayLike<number>, signal?: AbortSignal): Promise<RouteTrace> {
    const ids = toTokens(tokens, 'tokens')
    return await withCancel(this.#addon, signal, cancel => awaitNative(() => this.#addon.route(this.#handle, ids, cancel)))
  }

  watchRouting(watched: boolean): void {
    callNative(() => { this.#addon.watchRouting(this.#handle, watched) })
  }

  drainRouting(): RoutingDrain | undefined {
    if (this.#phases.length === 0) this.#phases = callNative(() => this.#addon.drainRouting(this.#handle))
    return this.#phases.shift()
  }

  async snapshot(path: string): Promise<void> {
    await awaitNative(() => this.#addon.saveSnapshot(this.#handle, path))
  }

  async restore(path: string): Promise<void> {
    await awaitNative(() => this.#addon.restoreSnapshot(this.#handle, path))
  }

  close(): void {
    void this.seqLen
    this.#closed = true
    callNative(() => { this.#addon.closeSession(this.#handle) })
  }
}

function report(events: GenerateEvents, options: GenerateOptions): void {
  if (events.progress && options.onPromptProgress) {
    const { tokensDone, tokensTotal, tokensCached } = events.progress
    options.onPromptProgress(tokensDone, tokensTotal, tokensCached)
  }
  for (const { id, text, logprob, top } of events.tokens) options.onToken({ id, text, ...(logprob !== undefined && { logprob }), top })
}

function toResult(end: GenerateEnd): GenerationResult {
  return {
    stopReason: end.reason, stopToken: end.stopId, trailingText: end.trailingText,
    promptTokens: end.promptTokens, cachedTokens: end.cachedTokens, generatedTokens: end.generatedTokens,
    promptMs: end.promptMs, decodeMs: end.decodeMs, timeToFirstTokenMs: end.firstTokenMs,
    ...(end.draft.reason !== 'not_asked' && { draft: end.draft }),
  }
}

function cancelledBeforeStart(request: NativeRequest): GenerateEnd {
  return {
    reason: 'cancelled', stopId: -1, trailingText: '', promptTokens: request.tokens.length, cachedTokens: 0,
    generatedTokens: 0, queueMs: 0, promptMs: 0, decodeMs: 0, firstTokenMs: 0,
    draft: { isOn: false, reason: 'not_asked', steps: 0, drafted: 0, accepted: 0, predictedSpeedup: 0 },
  }
}

function toNativeRequest(request: GenerateRequest): NativeRequest {
  const { sampling } = request
  return {
    tokens: toTokens(request.tokens, 'request.tokens'),
    maxTokens: request.maxTokens === 0 ? -1 : request.maxTokens,
    stopIds: toTokens(request.stopTokens ?? [], 'request.stopTokens'),
    stopAtEndOfGeneration: !(request.ignoreEndOfGeneration ?? false),
    printSpecial: false,
    draftMode: request.draft?.mode ?? 'off',
    draftTokens: request.draft?.tokens ?? 1,
    grammar: sampling.grammar ?? '',
    jsonSchema: sampling.jsonSchema ?? '',
    ...toNativeSampling(sampling),
  }
}

type NativeSampling = Omit<NativeRequest, 'tokens' | 'maxTokens' | 'stopIds' | 'stopAtEndOfGeneration' | 'printSpecial' | 'draftMode' | 'draftTokens' | 'grammar' | 'jsonSchema'>

// What is left out is off, whatever the engine's own default is.
function toNativeSampling(sampling: Sampling): NativeSampling {
  const { xtc, dry, mirostat, logitBias = [] } = sampling
  return {
    temperature: sampling.temperature,
    samplingTopK: sampling.samplingTopK,
    topP: sampling.topP,
    minP: sampling.minP,
    typicalP: sampling.typicalP ?? 1,
    topNSigma: sampling.topNSigma ?? 0,
    xtcProbability: xtc?.probability ?? 0,
    xtcThreshold: xtc?.threshold ?? 0.1,
    mirostat: mirostat !== undefined,
    mirostatTau: mirostat?.tau ?? 5,
    mirostatEta: mirostat?.eta ?? 0.1,
    repeatPenalty: sampling.repeatPenalty,
    repeatLastN: sampling.repeatLastN ?? 64,
    frequencyPenalty: sampling.frequencyPenalty ?? 0,
    presencePenalty: sampling.presencePenalty ?? 0,
    dryMultiplier: dry?.multiplier ?? 0,
    dryBase: dry?.base ?? 1.75,
    dryAllowedLength: dry?.allowedLength ?? 2,
    dryPenaltyLastN: dry?.lastN ?? -1,
    logitBiasIds: toTokens(logitBias.map(entry => entry.token), 'request.sampling.logitBias'),
    logitBiases: Float32Array.from(logitBias, entry => entry.bias),
    order: sampling.order ?? [],
    seed: sampling.seed,
    nProbs: sampling.nProbs ?? 0,
  }
}
