// What the services see of the native engine. native.ts is the real implementation; tests
// of services may use a fake. Everything is copied: no buffer is shared with the engine.
import type { BackendInfo, Calibration, DraftMode, DraftStats, MemoryEstimate, ModelCard, StopReason, StreamedExperts, Thresholds } from '../contract'

export interface EngineInfo {
  version: string
  backends: BackendInfo[]
  cpuLevels: string[]
  threads: number            // physical cores: the default of a load
  cpuLevel: string           // ISA level in use
}

export interface GgufInspection {
  card: ModelCard
  parts: string[]            // paths of all parts, first part first
  metadata: { key: string, type: string, value: string }[]
  tensors: { name: string, format: string, shape: number[], bytes: number, part: number }[]
  chatTemplate: string
}

// How far reading the weights is. bytesPerSecond is the mean so far, 0 while unknown.
export interface LoadProgress { fraction: number, bytesDone: number, bytesTotal: number, bytesPerSecond: number }

// Whether a load reads the weights in before it is done: 'auto' does when the file fits into
// the memory available, 'yes' does anyway, 'no' leaves it to the first use of each page.
export type TouchMode = 'auto' | 'yes' | 'no'

export interface LoadOptions {
  threads?: number           // 0 or absent: physical cores
  exact?: boolean            // float activations
  bf16Attention?: boolean    // approximate attention of prompts; E_UNSUPPORTED where BackendInfo.hasBf16Attention is false
  overrides?: Record<string, string>
  vocabularyOnly?: boolean   // the tokenizer alone; sessions are refused
  touch?: TouchMode          // absent: auto
  expertMemory?: number      // bytes for routed experts, read when they are chosen; 0 or absent: mapped
  thresholds?: Thresholds    // as this machine was measured; absent: the engine's defaults. Exact loads ignore them
  signal?: AbortSignal
  onProgress?: (progress: LoadProgress) => void
  // Told before the load: the weights will not be read in, as asked or for lack of memory.
  onTouchSkipped?: (reason: 'asked' | 'memory') => void
}

export type CacheFormat = 'f32' | 'f16' | 'bf16' | 'q8_0'

export interface CalibrateOptions {
  threads?: number           // 0 or absent: physical cores
  signal?: AbortSignal
  onProgress?: (fraction: number) => void
}

export type MeasuredPeaks = Omit<Calibration, 'measuredAt' | 'engineVersion'>

export type EngineEstimate = Omit<MemoryEstimate, 'availableBytes' | 'fits'>

export interface Engine {
  info(): EngineInfo
  // Reads headers only. Throws WorkbenchError E_GGUF, E_SHARD_MISSING, E_IO, E_UNSUPPORTED.
  inspect(path: string): Promise<GgufInspection>
  // expertMemory as in LoadOptions. Throws E_MEMORY when it is too little, E_UNSUPPORTED without experts.
  estimate(path: string, seqLen: number, cacheFormat: CacheFormat, expertMemory?: number): Promise<EngineEstimate>
  load(path: string, options?: LoadOptions): Promise<EngineModel>
  // A few seconds of all threads. Throws E_CANCELLED and E_MEMORY.
  calibrate(options?: CalibrateOptions): Promise<MeasuredPeaks>
  memory(): { totalBytes: number, availableBytes: number, processBytes: number }
}

// Positions in UTF-16 units.
export interface TextSpan { start: number, end: number }

export interface EncodeOptions {
  addSpecial: boolean
  parseSpecial: boolean
  // Where no special token is matched; ascending, apart, not within a character.
  literal?: readonly TextSpan[]
}

export interface EngineModel {
  readonly card: ModelCard
  readonly chatTemplate: string
  readonly specialTokens: { bos: string, eos: string, unknown: string, pad: string }
  readonly endOfGeneration: number[]
  readonly vocabSize: number
  readonly samplingSuggestion: Record<string, number>
  readonly moe: { nLayers: number, firstMoeLayer: number, nRoutedExperts: number, nActiveExperts: number } | undefined
  // The spelling of its special tokens.
  readonly controlTokens: readonly string[]
  readonly userDefinedTokens: readonly string[]
  encode(text: string, options: EncodeOptions): Int32Array
  // Control tokens have no text unless keepSpecial is set.
  decode(tokens: Iterable<number>, options?: { keepSpecial?: boolean }): string
  // Counters of a model loaded with expertMemory; undefined for others.
  streamedExperts(): StreamedExperts | undefined
  createSession(options: { maxSeqLen: number, cacheFormat: CacheFormat }): EngineSession
  // Waits for running work to be cancelled, then frees the weights. Idempotent.
  close(): Promise<void>
}

export interface Sampling {
  temperature: number
  samplingTopK: number
  topP: number
  minP: number
  typicalP?: number
  topNSigma?: number
  repeatPenalty: number
  repeatLastN?: number
  frequencyPenalty?: number
  presencePenalty?: number
  xtc?: { probability: number, threshold: number }
  dry?: { multiplier: number, base: number, allowedLength: number, lastN: number }
  mirostat?: { tau: number, eta: number }
  logitBias?: { token: number, bias: number }[]
  order?: string[]           // stage names; the default order when absent
  seed: number               // 0 .. 2^32 - 1
  nProbs?: number            // top logprobs wanted per token, with that of the chosen one
  grammar?: string           // GBNF
  jsonSchema?: string        // JSON text; excludes grammar
}

// tokens: guesses for one step, 1 to 8.
export interface DraftSettings { mode: DraftMode, tokens: number }

export interface GenerateRequest {
  tokens: ArrayLike<number>  // the whole prompt; the part the session already holds is not computed again
  maxTokens: number          // 0: what is left of the session
  sampling: Sampling
  stopTokens?: number[]      // beside the model's own end-of-generation tokens
  ignoreEndOfGeneration?: boolean
  draft?: DraftSettings      // off when absent
}

export interface GeneratedToken {
  id: number
  text: string               // complete UTF-8; '' while a character is still split over tokens
  logprob?: number           // with nProbs only
  top: { id: number, logprob: number }[]
}

export interface GenerationResult {
  stopReason: StopReason
  stopToken: number          // -1 when none
  promptTokens: number
  cachedTokens: number
  generatedTokens: number
  promptMs: number
  decodeMs: number
  timeToFirstTokenMs: number
  draft?: DraftStats         // when drafts were asked for
  trailingText?: string      // U+FFFD when the answer ended inside a character, to be shown after the last token
}

export interface RoutingDrain {
  prefill: boolean
  nTokens: number
  firstToken: number
  lastIds: Uint16Array       // [n_layers, n_active], 0xFFFF = empty slot
  lastWeights: Float32Array
  count: Uint32Array         // [n_layers, n_routed_experts]
}

export interface RouteTrace {
  nTokens: number
  layers: { layer: number, ids: Int32Array, weights: Float32Array }[]  // [n_tokens, n_active] each
}

export interface EngineSession {
  readonly maxSeqLen: number
  readonly seqLen: number
  generate(request: GenerateRequest, options: {
    signal?: AbortSignal
    onPromptProgress?: (processed: number, total: number, cached: number) => void
    onToken: (token: GeneratedToken) => void
  }): Promise<GenerationResult>
  // logits [n_tokens, vocab_size] of every position, starting from an empty session.
  logits(tokens: ArrayLike<number>, signal?: AbortSignal): Promise<Float32Array>
  route(tokens: ArrayLike<number>, signal?: AbortSignal): Promise<RouteTrace>
  // Whether the router's choices are kept from the next answer on; at first they are.
  watchRouting(watched: boolean): void
  // What the router chose since the last drain; undefined for dense models or when nothing ran.
  drainRouting(): RoutingDrain | undefined
  snapshot(path: string): Promise<void>
  restore(path: string): Promise<void>
  close(): void
}
