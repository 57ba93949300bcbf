// The raw addon, as native/addon exports it. electron/engine/native.ts is its only caller and
// gives it a pleasant face. Every function throws, or rejects with, an Error that has `code`
// ('E_GGUF') and `hint`. Handles are opaque, tagged objects; a wrong one is refused with
// E_BAD_REQUEST, a closed one with E_CONFLICT. Nothing is shared: arrays are copies.

export interface ModelHandle { readonly __handle: 'model' }
export interface SessionHandle { readonly __handle: 'session' }
// Stops one call: a load, a measurement, a generation, logits or a route.
export interface CancelHandle { readonly __handle: 'cancel' }

export type CacheFormat = 'f32' | 'f16' | 'bf16' | 'q8_0'

export interface EngineInfo {
  version: string
  // reason: why it is not available, or why not at a better level; '' as a rule
  backends: { id: string, available: boolean, reason: string, device: string, level: string, hasBf16Attention: boolean }[]
  cpuLevels: string[]          // worst first
  cpuLevel: string
  cpuBrand: string
  nPhysicalCores: number
  nUsableCpus: number
  architectures: string[]
}

export interface MemoryInfo { totalBytes: number, availableBytes: number, processBytes: number }

export interface ModelInfo {
  path: string
  parts: string[]
  fileBytes: number
  identity: string
  architecture: string
  name: string
  sizeLabel: string
  author: string
  licence: string
  licenceLink: string
  description: string
  sourceUrl: string
  mainQuantFormat: string
  tokenizerModel: string
  tokenizerPre: string
  ignoredTensors: string[]
  warnings: string[]
  nLayers: number
  nMtpLayers: number
  nDenseLayers: number
  hiddenSize: number
  vocabSize: number
  maxSeqLen: number
  nHeads: number
  nKvHeads: number
  keyDim: number
  valueDim: number
  isMla: boolean
  qLoraRank: number
  kvLoraRank: number
  isMoe: boolean
  nRoutedExperts: number
  nActiveExperts: number
  nSharedExperts: number
  nExpertGroups: number
  nActiveGroups: number
  scoreFunc: string
  groupRule: string
  hasSelectionBias: boolean
  normalizesWeights: boolean
  routedScalingFactor: number
  parametersTotal: number
  parametersActive: number
  weightBytes: number
  bitsPerWeight: number
  bytesPerToken: number
  layers: { layer: number, isMoe: boolean, isMtp: boolean, window: number, nKvHeads: number }[]
  tensorClasses: { name: string, nTensors: number, parameters: number, bytes: number, bitsPerWeight: number, bytesPerToken: number }[]
  quantFormats: { name: string, nTensors: number, bytes: number }[]
  derived: { name: string, value: string, origin: string, source: string }[]
  chatTemplates: { name: string, text: string }[]
  samplingSuggestions: { name: string, value: number }[]
}

export interface FileInspection {
  info: ModelInfo
  problem: string              // why it cannot run, '' when it can
  // Arrays are cut to eight values; `count` is their true length.
  metadata: { key: string, type: string, isArray: boolean, count: number, values: string[] }[]
  tensors: { name: string, quantFormat: string, shape: number[], bytes: number, part: number, offset: number }[]
}

export interface MemoryEstimate {
  weightsBytes: number
  cacheBytes: number
  scratchBytes: number
  totalBytes: number
  cacheBytesPerToken: number
  expertsBytes: number         // memory of streamed experts; weightsBytes is then without them
  expertSlots: number          // experts it holds in each layer; 0: mapped
  leastExpertMemory: number    // smallest that streaming works with; 0: nothing to stream
  mostExpertMemory: number     // with this no expert is read twice
  nRoutedExperts: number
}

// How streamed experts fare, counted since the load. An expert counts once for each layer and
// step that asks for it.
export interface StreamedExperts {
  memoryBytes: number
  slotsPerLayer: number
  hits: number                 // were in memory
  misses: number               // had to be read
  bytesRead: number
  readMs: number               // while anything was being read
  waitMs: number               // of those, with nothing left to compute
}

// From where on one kernel beats another on a machine; of no influence on exact loads.
export interface Thresholds {
  tileColumns: Record<string, number>  // by quant_format: columns from which prefill expands tiles, 1 to 128
  mlaAbsorbedCost: number      // of a multiply-add, against one of expanded attention: 0.25 to 4
}

// What the machine can do at most, per second; a multiply-add is two operations.
export interface Calibration {
  cpuBrand: string
  cpuLevel: string
  nThreads: number
  readBytesPerSecond: number
  int8OperationsPerSecond: number
  f32OperationsPerSecond: number
  bf16OperationsPerSecond: number  // 0 where the level has none
  thresholds: Thresholds & {
    mlaExpandsFrom: number     // prompt tokens from which DeepSeek-V2's heads expand keys, 0: never,
    mlaHistory: number         // behind so many cached tokens
  }
  milliseconds: number         // what measuring took
  bufferBytes: number
}

export interface LoadOptions {
  overrides?: Record<string, string>
  backend?: string
  threads?: number
  exact?: boolean
  bf16Attention?: boolean      // prompts only; refused where the backend lacks it, and beside exact
  touchWeights?: boolean
  vocabularyOnly?: boolean
  expertMemory?: number        // bytes; experts are read when they are chosen. 0: mapped
  thresholds?: Thresholds      // formats that are not named keep their default
}

export interface LoadedModel {
  info: ModelInfo
  chatTemplate: string
  backend: string
  device: string
  level: string
  nThreads: number
  moeLayers: number[]          // transformer layer of each MoE layer
  vocabSize: number
  controlTokens: string[]       // spellings; also the unknown token
  userDefinedTokens: string[]
  specialTokens: { bos: string | undefined, eos: string | undefined, unknown: string | undefined, pad: string | undefined }
  addsBos: boolean
  addsEos: boolean
  endOfGeneration: Int32Array
}

export interface SessionInfo {
  seqLen: number               // as last reported while a call runs
  maxSeqLen: number
  busy: boolean
  cacheFormat: CacheFormat
  cacheBytesTotal: number
}

// Every property is needed: the defaults are the wrapper's business.
export interface GenerateRequest {
  tokens: Int32Array
  maxTokens: number            // -1: until the session is full
  stopIds: Int32Array
  stopAtEndOfGeneration: boolean
  printSpecial: boolean
  draftMode: 'off' | 'auto' | 'always'  // guess with the model's multi-token-prediction layer; the answer is the same
  draftTokens: number          // guesses for one step, 1 to 8
  grammar: string              // '' for none; excludes jsonSchema
  jsonSchema: string
  temperature: number
  samplingTopK: number
  topP: number
  minP: number
  typicalP: number
  topNSigma: number
  xtcProbability: number
  xtcThreshold: number
  mirostat: boolean
  mirostatTau: number
  mirostatEta: number
  repeatPenalty: number
  repeatLastN: number
  frequencyPenalty: number
  presencePenalty: number
  dryMultiplier: number
  dryBase: number
  dryAllowedLength: number
  dryPenaltyLastN: number
  logitBiasIds: Int32Array
  logitBiases: Float32Array    // as long as logitBiasIds
  order: string[]              // empty: the default order
  seed: number
  nProbs: number
}

export interface TokenEvent {
  id: number
  position: number
  text: string
  logprob?: number             // with nProbs only
  top: { id: number, logprob: number }[]
}

// What has happened since the last batch, prompt progress before tokens.
export interface GenerateEvents {
  progress?: { tokensDone: number, tokensTotal: number, tokensCached: number }
  tokens: TokenEvent[]
}

export interface GenerateEnd {
  reason: 'stop' | 'length' | 'cancelled'
  stopId: number               // -1 when none
  trailingText: string         // U+FFFD for a character that was never completed
  promptTokens: number
  cachedTokens: number
  generatedTokens: number
  queueMs: number
  promptMs: number
  decodeMs: number
  firstTokenMs: number
  draft: DraftStats
}

export interface DraftStats {
  isOn: boolean                // at the end
  reason: 'not_asked' | 'no_draft_layer' | 'always' | 'measuring' | 'gains' | 'no_gain' | 'failed'
  steps: number                // decode steps with guesses
  drafted: number              // tokens guessed
  accepted: number             // of those, put to use
  predictedSpeedup: number     // by the last measurements; 0 while unknown
}

export interface RoutingPhase {
  prefill: boolean
  nTokens: number
  firstToken: number
  lastIds: Uint16Array         // [n_moe_layers, n_active], 0xFFFF = unknown
  lastWeights: Float32Array    // same shape
  count: Uint32Array           // [n_moe_layers, n_routed_experts]
}

export interface RouteTrace {
  nTokens: number
  layers: { layer: number, ids: Int32Array, weights: Float32Array }[]  // [n_tokens, n_active] each
}

export interface Addon {
  readonly apiVersion: number
  engineInfo(): EngineInfo
  memoryInfo(): MemoryInfo
  createCancel(): CancelHandle
  // May come before, during or after the call that has the handle.
  cancel(handle: CancelHandle): void
  inspect(path: string, overrides: Record<string, string>): Promise<FileInspection>
  estimate(path: string, seqLen: number, cacheFormat: CacheFormat, overrides: Record<string, string>, expertMemory: number): Promise<MemoryEstimate>

  // All threads for a few seconds; threads 0 takes the physical cores.
  calibrate(threads: number, onProgress?: (fraction: number) => void, cancel?: CancelHandle): Promise<Calibration>

  loadModel(path: string, options: LoadOptions, onProgress?: (bytesDone: number, bytesTotal: number) => void, cancel?: CancelHandle): Promise<ModelHandle>
  modelInfo(model: ModelHandle): LoadedModel
  // undefined unless loaded with expertMemory.
  streamedExperts(model: ModelHandle): StreamedExperts | undefined
  // literal: pairs of UTF-8 offsets between which no special token may be matched.
  encode(model: ModelHandle, text: string, addSpecial: boolean, parseSpecial: boolean, literal?: Int32Array): Int32Array
  // Valid UTF-8: broken sequences become U+FFFD, as in a streamed answer.
  decode(model: ModelHandle, tokens: Int32Array, skipSpecial: boolean, removeSpacePrefix: boolean): string
  // Cancels what runs, waits for it, frees the memory. Again: resolves as well.
  closeModel(model: ModelHandle): Promise<void>

  createSession(model: ModelHandle, maxSeqLen: number, cacheFormat: CacheFormat): SessionHandle
  sessionInfo(session: SessionHandle): SessionInfo
  truncate(session: SessionHandle, seqLen: number): void
  // [n_tokens, vocab_size], evaluated from an empty session.
  logits(session: SessionHandle, tokens: Int32Array, cancel?: CancelHandle): Promise<Float32Array>
  route(session: SessionHandle, tokens: Int32Array, cancel?: CancelHandle): Promise<RouteTrace>
  // Whether answers from now on are told to the routing trace, as they are at first.
  watchRouting(session: SessionHandle, watched: boolean): void
  // Phases with tokens since the last drain, prefill first; empty for dense models.
  drainRouting(session: SessionHandle): RoutingPhase[]
  saveSnapshot(session: SessionHandle, path: string): Promise<void>
  restoreSnapshot(session: SessionHandle, path: string): Promise<void>
  // Cancels what runs on it. Twice is fine.
  closeSession(session: SessionHandle): void
  // All batches come before the promise settles. A callback that throws is an uncaught exception.
  generate(session: SessionHandle, request: GenerateRequest, onEvents: (events: GenerateEvents) => void, cancel?: CancelHandle): Promise<GenerateEnd>
}
