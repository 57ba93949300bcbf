// The nouns that cross the wire. Sizes are bytes, times milliseconds unless the name says
// otherwise; names follow the glossary in ARCHITECTURE.md.
import { z } from 'zod'
import { WorkbenchErrorShape } from './errors'

export const Origin = z.enum(['key', 'tensor', 'table', 'default', 'override'])

export const BackendInfo = z.object({
  id: z.string(),
  available: z.boolean(),
  reason: z.string(),      // why not, '' when available
  device: z.string(),
  level: z.string(),       // ISA level or compute capability
  hasBf16Attention: z.boolean(),
})
export type BackendInfo = z.infer<typeof BackendInfo>

export const TensorClassBytes = z.object({
  experts: z.number(), sharedExperts: z.number(), attention: z.number(), dense: z.number(),
  router: z.number(), head: z.number(), embedding: z.number(), norms: z.number(), other: z.number(),
})

// What the loader derived, and where each value came from.
export const DerivedValue = z.object({ name: z.string(), value: z.string(), origin: Origin })

export const ModelCard = z.object({
  name: z.string(),
  architecture: z.string(),
  supported: z.boolean(),
  unsupportedReason: z.string(),
  license: z.string(),
  parametersTotal: z.number(),
  parametersActive: z.number(),
  fileBytes: z.number(),
  nTensors: z.number(),
  nLayers: z.number(),
  embeddingLength: z.number(),
  nRoutedExperts: z.number(),
  nActiveExperts: z.number(),
  nSharedExperts: z.number(),
  nExpertGroups: z.number(),
  nActiveGroups: z.number(),
  nDenseLayers: z.number(),
  nMtpLayers: z.number(),
  maxSeqLen: z.number(),
  vocabSize: z.number(),
  tokenizer: z.string(),          // 'gpt2 / deepseek-v3'
  hasChatTemplate: z.boolean(),
  bitsPerWeight: z.number(),
  bytesPerToken: z.number(),      // read per decoded token at empty cache
  quantFormats: z.array(z.object({ format: z.string(), nTensors: z.number(), bytes: z.number() })),
  tensorClassBytes: TensorClassBytes,
  derived: z.array(DerivedValue),
  warnings: z.array(z.string()),
  ignoredTensors: z.array(z.string()),
})
export type ModelCard = z.infer<typeof ModelCard>

export const MemoryEstimate = z.object({
  seqLen: z.number(),
  weightsBytes: z.number(),
  cacheBytes: z.number(),
  scratchBytes: z.number(),
  totalBytes: z.number(),
  availableBytes: z.number(),
  fits: z.boolean(),
  // The routed experts; absent without any.
  experts: z.object({
    memoryBytes: z.number(),      // when they are streamed; 0: mapped, and part of weightsBytes
    slotsPerLayer: z.number(),    // experts of each layer that this holds; 0: mapped
    routedExperts: z.number(),    // of each layer
    leastBytes: z.number(),       // smallest memory that streaming works with
    mostBytes: z.number(),        // with this no expert is read twice
    suggestedBytes: z.number().optional(),  // for a model that does not fit: streamed with this much it would
  }).optional(),
})
export type MemoryEstimate = z.infer<typeof MemoryEstimate>

export const ModelEntry = z.object({
  id: z.string(),                 // stable, unique, URL safe; what REST calls the model
  path: z.string(),               // first part of a split set
  parts: z.number(),
  builtIn: z.boolean(),
  addedAt: z.number(),
  state: z.enum(['ready', 'broken', 'missing']),
  problem: WorkbenchErrorShape.optional(),  // for broken and missing files
  card: ModelCard.optional(),     // absent for broken files
  estimate: MemoryEstimate.optional(),
})
export type ModelEntry = z.infer<typeof ModelEntry>
export const ModelList = z.object({ models: z.array(ModelEntry) })
export type ModelList = z.infer<typeof ModelList>

// Experts that are read from the file when the router chooses them, counted since the load. An
// expert counts once for each layer and step that asks for it.
export const StreamedExperts = z.object({
  memoryBytes: z.number(), slotsPerLayer: z.number(),
  hits: z.number(),               // were in memory
  misses: z.number(),             // had to be read
  bytesRead: z.number(),
  readMs: z.number(),             // while anything was being read
  waitMs: z.number(),             // of those, with nothing left to compute
})
export type StreamedExperts = z.infer<typeof StreamedExperts>

export const LoadedModel = z.object({
  modelId: z.string(), instanceId: z.string(),
  state: z.enum(['loading', 'ready', 'unloading']),
  progress: z.number(),           // 0..1 while loading
  // While weights are read in; bytesPerSecond is 0 while unknown.
  touching: z.object({ bytesDone: z.number(), bytesTotal: z.number(), bytesPerSecond: z.number() }).optional(),
  // The weights were not read in: as asked, or because they are larger than the memory available.
  touchSkipped: z.enum(['asked', 'memory']).optional(),
  maxSeqLen: z.number(), cacheFormat: z.string(), threads: z.number(), backend: z.string(),
  bf16Attention: z.boolean(),
  weightsBytes: z.number(),       // in memory, streamed experts as far as they have a place
  loadMs: z.number(),
  experts: StreamedExperts.optional(),  // absent: all weights are mapped
})
export type LoadedModel = z.infer<typeof LoadedModel>

export const EngineStatus = z.object({
  version: z.string(),
  backends: z.array(BackendInfo),
  cpuLevels: z.array(z.string()),
  threads: z.number(),
  loaded: z.array(LoadedModel),
  memory: z.object({ totalBytes: z.number(), availableBytes: z.number(), hostBytes: z.number() }),
  // Of the last second while something decodes, else 0.
  tokensPerSecond: z.number(),
  activeGenerations: z.number(),
})
export type EngineStatus = z.infer<typeof EngineStatus>

// From where on one kernel beats another on a machine. They change speed and last bits only.
export const Thresholds = z.object({
  // By quant_format: columns of a product from which prefill expands tiles of the weights.
  tileColumns: z.record(z.string().max(32), z.number().int().min(1).max(128)),
  mlaAbsorbedCost: z.number().min(0.25).max(4),   // of a multiply-add, against one of expanded attention
  mlaExpandsFrom: z.number().int().min(0),        // prompt tokens from which DeepSeek-V2's heads expand keys, 0: never,
  mlaHistory: z.number().int().min(0),            // behind so many cached tokens
})
export type Thresholds = z.infer<typeof Thresholds>

// What the machine was measured to do at most, on all threads; every percentage of a limit
// divides by these. A multiply-add is two operations.
export const Calibration = z.object({
  cpuBrand: z.string(), cpuLevel: z.string(), threads: z.number(),
  readBytesPerSecond: z.number(),
  int8OperationsPerSecond: z.number(), f32OperationsPerSecond: z.number(),
  bf16OperationsPerSecond: z.number(),  // 0 where the level has no bfloat16 dot
  thresholds: Thresholds.optional(),  // absent in what was measured before they were
  engineVersion: z.string().optional(),
  durationMs: z.number(), measuredAt: z.number(),
})
export type Calibration = z.infer<typeof Calibration>

export const CalibrationStatus = z.object({
  phase: z.enum(['idle', 'waiting', 'measuring']),  // waiting: for generations and loads to end
  progress: z.number(),           // 0..1 while measuring
  calibration: Calibration.optional(),  // absent before the first measurement
})
export type CalibrationStatus = z.infer<typeof CalibrationStatus>

// Whether tokens are guessed by the model's draft layer and checked several at a time. The
// answer is the same with every mode; auto measures whether it is faster.
export const DraftMode = z.enum(['off', 'auto', 'always'])
export type DraftMode = z.infer<typeof DraftMode>

export const DraftReason = z.enum(['not_asked', 'no_draft_layer', 'always', 'measuring', 'gains', 'no_gain', 'failed'])
export type DraftReason = z.infer<typeof DraftReason>

export const DraftStats = z.object({
  isOn: z.boolean(),              // at the end
  reason: DraftReason,
  steps: z.number(),              // decode steps with guesses
  drafted: z.number(),            // tokens guessed
  accepted: z.number(),           // of those, put to use
  predictedSpeedup: z.number(),   // by the last measurements; 0 while unknown
})
export type DraftStats = z.infer<typeof DraftStats>

export const SamplingSettings = z.object({
  temperature: z.number().min(0).max(10),
  samplingTopK: z.number().int().min(0).max(1_000_000),
  topP: z.number().min(0).max(1),
  minP: z.number().min(0).max(1),
  repeatPenalty: z.number().min(0).max(10),
  seed: z.number().int().min(-1).max(2 ** 32 - 1),  // -1: a new one each time
  maxTokens: z.number().int().min(0).max(1_000_000),  // 0: what is left of the context
  // Defaults: settings and conversations stored before these existed stay readable.
  draft: DraftMode.default('auto'),
  draftTokens: z.number().int().min(1).max(8).default(1),  // guesses for one step
})
export type SamplingSettings = z.infer<typeof SamplingSettings>

export const StopReason = z.enum(['stop', 'length', 'cancelled', 'error'])
export type StopReason = z.infer<typeof StopReason>

export const GenerationStats = z.object({
  promptTokens: z.number(), cachedTokens: z.number(), generatedTokens: z.number(),
  promptMs: z.number(), decodeMs: z.number(), timeToFirstTokenMs: z.number(),
  tokensPerSecond: z.number(), promptTokensPerSecond: z.number(),
  seqLen: z.number(), maxSeqLen: z.number(),
  seed: z.number(),
  stopReason: StopReason,
  // When drafts were asked for and the model can make some.
  draft: DraftStats.optional(),
})
export type GenerationStats = z.infer<typeof GenerationStats>

export const Role = z.enum(['system', 'user', 'assistant'])
export const Message = z.object({
  id: z.string(), conversationId: z.string(), parentId: z.string().optional(),
  role: Role, content: z.string(), reasoning: z.string(), reasoningMs: z.number(),
  createdAt: z.number(),
  modelId: z.string().optional(),
  state: z.enum(['complete', 'streaming', 'interrupted', 'failed']),
  error: WorkbenchErrorShape.optional(),
  stats: GenerationStats.optional(),
})
export type Message = z.infer<typeof Message>

export const ConversationSummary = z.object({
  id: z.string(), title: z.string(), createdAt: z.number(), updatedAt: z.number(),
  modelId: z.string().optional(), nMessages: z.number(),
})
export type ConversationSummary = z.infer<typeof ConversationSummary>

export const Conversation = ConversationSummary.extend({
  systemPrompt: z.string(),
  sampling: SamplingSettings,
  // The whole tree; activeLeafId names the branch that is shown.
  messages: z.array(Message),
  activeLeafId: z.string().optional(),
  // Set while an answer is being generated for this conversation.
  generationId: z.string().optional(),
})
export type Conversation = z.infer<typeof Conversation>

export const ChatEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('start'), conversationId: z.string(), messageId: z.string() }),
  z.object({ type: z.literal('prompt-progress'), processed: z.number(), total: z.number(), cached: z.number() }),
  z.object({ type: z.literal('reasoning'), text: z.string() }),
  z.object({ type: z.literal('reasoning-end'), reasoningMs: z.number() }),
  z.object({ type: z.literal('content'), text: z.string() }),
  z.object({ type: z.literal('stats'), stats: GenerationStats.omit({ stopReason: true }) }),
  z.object({ type: z.literal('end'), message: Message }),
  z.object({ type: z.literal('error'), error: WorkbenchErrorShape, message: Message }),
])
export type ChatEvent = z.infer<typeof ChatEvent>

export const Settings = z.object({
  theme: z.enum(['system', 'light', 'dark', 'contrast']),
  locale: z.enum(['system', 'en', 'zh-CN']),
  lastModelId: z.string(),
  maxSeqLen: z.number().int().min(0),      // 0: the model's, as far as memory allows
  cacheFormat: z.enum(['f32', 'f16', 'bf16', 'q8_0']),
  threads: z.number().int().min(0).max(1024),  // 0: physical cores
  exact: z.boolean(),                      // float activations
  // Prompt attention in bfloat16: approximate, so only when asked for. Without effect beside
  // exact activations and on processors without such dots.
  bf16Attention: z.boolean(),
  // Bytes for streamed experts by model id; models that are not named are mapped whole.
  expertMemory: z.record(z.string(), z.number().int().min(1).max(2 ** 50)),
  sampling: SamplingSettings,
  systemPrompt: z.string(),
  serverPort: z.number().int().min(1024).max(65535),
  serverEnabled: z.boolean(),
  serverRequireToken: z.boolean(),
  modelFolders: z.array(z.string()),
  showRoutingStrip: z.boolean(),
  reduceMotion: z.enum(['system', 'on', 'off']),
})
export type Settings = z.infer<typeof Settings>

export const ServerStatus = z.object({
  state: z.enum(['stopped', 'starting', 'running', 'failed']),
  host: z.string(), port: z.number(), urls: z.array(z.string()),
  requireToken: z.boolean(),
  error: WorkbenchErrorShape.optional(),
  requests: z.number(), activeRequests: z.number(),
})
export type ServerStatus = z.infer<typeof ServerStatus>

export const HostInfo = z.object({
  version: z.string(), hostKind: z.enum(['electron', 'serve', 'cli']), platform: z.string(), nodeVersion: z.string(),
  pid: z.number(), dataDir: z.string(), startedAt: z.number(),
})
export type HostInfo = z.infer<typeof HostInfo>

// Why the previous host ended, when it did not end by itself; shown in a banner.
export const HostNotice = z.object({ cause: z.string(), advice: z.string(), at: z.number(), log: z.array(z.string()) })
export type HostNotice = z.infer<typeof HostNotice>

export const DirectoryEntry = z.object({ name: z.string(), path: z.string(), kind: z.enum(['directory', 'gguf']), bytes: z.number() })
export type DirectoryEntry = z.infer<typeof DirectoryEntry>
