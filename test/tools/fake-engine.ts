// An engine without weights: deterministic answers, one token per word, settable delay, routing
// that drains. Files count as models when they begin with "GGUF".
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { type DraftStats, WorkbenchError, type ModelCard, type StreamedExperts } from '../../electron/contract'
import type {
  CacheFormat, CalibrateOptions, DraftSettings, Engine, EngineEstimate, EngineInfo, EngineModel, EngineSession, GenerateRequest, GenerationResult, GeneratedToken, GgufInspection, LoadOptions, MeasuredPeaks, RouteTrace, RoutingDrain,
} from '../../electron/engine/types'

export interface FakeEngineOptions {
  tokenDelayMs?: number
  loadDelayMs?: number
  maxSeqLen?: number
  chatTemplate?: string
  // What the model says to a prompt.
  answer?: (prompt: string) => string
  // Changed by tests while they run.
  memory?: { totalBytes: number, availableBytes: number, processBytes: number }
  weightsBytes?: number
  cacheBytesPerToken?: number
  dense?: boolean
  calibrateDelayMs?: number
  nMtpLayers?: number
}

export const fakeTemplate = '{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}'
export const fakeMoe = { nLayers: 4, firstMoeLayer: 1, nRoutedExperts: 8, nActiveExperts: 2 }
const vocabSize = 100_000

export class FakeEngine implements Engine {
  readonly loads: string[] = []
  readonly loadOptions: LoadOptions[] = []
  readonly sessions: FakeSession[] = []
  readonly requests: GenerateRequest[] = []
  nClosed = 0
  nCalibrations = 0
  calibrating = false
  readonly memoryNow = { totalBytes: 16e9, availableBytes: 8e9, processBytes: 1e8 }
  private readonly vocabulary = new Map<string, number>()

  constructor(readonly options: FakeEngineOptions = {}) { Object.assign(this.memoryNow, options.memory) }

  info(): EngineInfo {
    return { version: '0.0.0-fake', backends: [{ id: 'cpu', available: true, reason: '', device: 'Fake CPU', level: 'fake', hasBf16Attention: true }], cpuLevels: ['fake'], threads: 2, cpuLevel: 'fake' }
  }

  async inspect(path: string): Promise<GgufInspection> {
    const bytes = await readFile(path).catch((error: Error) => { throw new WorkbenchError('E_IO', `${path}: ${error.message}`) })
    if (bytes.subarray(0, 4).toString('latin1') !== 'GGUF') {
      throw new WorkbenchError('E_GGUF', `${path}: at byte 0: expected the magic "GGUF", found ${JSON.stringify(bytes.subarray(0, 4).toString('latin1'))}`)
    }
    return {
      card: fakeCard(basename(path).replace(/\.gguf$/, ''), this.options), parts: [path],
      metadata: [{ key: 'general.architecture', type: 'string', value: 'fake' }], tensors: [], chatTemplate: this.options.chatTemplate ?? fakeTemplate,
    }
  }

  // Nine tenths of the weights are experts.
  estimate(_path: string, seqLen: number, _cacheFormat: CacheFormat, expertMemory = 0): Promise<EngineEstimate> {
    const allBytes = this.options.weightsBytes ?? 1e6
    const cacheBytes = seqLen * (this.options.cacheBytesPerToken ?? 100)
    const { nRoutedExperts, nActiveExperts } = fakeMoe
    const mostBytes = allBytes * 0.9, slotBytes = mostBytes / nRoutedExperts, leastBytes = slotBytes * nActiveExperts
    if (expertMemory > 0 && this.options.dense) return Promise.reject(new WorkbenchError('E_UNSUPPORTED', 'expert memory: this model has no routed experts'))
    if (expertMemory > 0 && expertMemory < leastBytes) return Promise.reject(new WorkbenchError('E_MEMORY', `expert memory: expected at least ${leastBytes}`))
    const slotsPerLayer = Math.min(nRoutedExperts, Math.floor(expertMemory / slotBytes))
    const weightsBytes = expertMemory > 0 ? allBytes - mostBytes : allBytes, memoryBytes = slotsPerLayer * slotBytes
    return Promise.resolve({
      seqLen, weightsBytes, cacheBytes, scratchBytes: 1000, totalBytes: weightsBytes + memoryBytes + cacheBytes + 1000,
      ...(!this.options.dense && { experts: { memoryBytes, slotsPerLayer, routedExperts: nRoutedExperts, leastBytes, mostBytes } }),
    })
  }

  async load(path: string, options: LoadOptions = {}): Promise<EngineModel> {
    const { signal, onProgress, touch, expertMemory = 0, onTouchSkipped } = options
    const { card } = await this.inspect(path)
    if (touch === 'no') onTouchSkipped?.('asked')
    for (let step = 1; step <= 10; step++) {
      await pause((this.options.loadDelayMs ?? 0) / 10)
      if (signal?.aborted) throw new WorkbenchError('E_CANCELLED', 'Loading was cancelled.')
      onProgress?.({ fraction: step / 10, bytesDone: step * 100, bytesTotal: 1000, bytesPerSecond: 5e8 })
    }
    this.loads.push(path)
    this.loadOptions.push(options)
    return new FakeModel(this, card, expertMemory)
  }

  async calibrate({ threads, signal, onProgress }: CalibrateOptions = {}): Promise<MeasuredPeaks> {
    this.calibrating = true
    try {
      for (let step = 1; step <= 10; step++) {
        await pause((this.options.calibrateDelayMs ?? 0) / 10)
        if (signal?.aborted) throw new WorkbenchError('E_CANCELLED', 'the measurement was cancelled')
        onProgress?.(step / 10)
      }
    } finally {
      this.calibrating = false
    }
    const times = ++this.nCalibrations
    return {
      cpuBrand: 'Fake CPU', cpuLevel: 'fake', threads: threads || 2, durationMs: 10, readBytesPerSecond: times * 1e10,
      int8OperationsPerSecond: 1e12, f32OperationsPerSecond: 1e11, bf16OperationsPerSecond: 0,
      thresholds: { tileColumns: { F32: 16, Q4_K: 4 + times }, mlaAbsorbedCost: 1.5, mlaExpandsFrom: 98, mlaHistory: 4096 },
    }
  }

  memory(): { totalBytes: number, availableBytes: number, processBytes: number } { return { ...this.memoryNow } }

  tokenOf(piece: string): number {
    let id = this.vocabulary.get(piece)
    if (id === undefined) this.vocabulary.set(piece, id = this.vocabulary.size + 1)
    return id
  }

  textOf(tokens: Iterable<number>): string {
    const pieces = [...this.vocabulary.keys()]
    return Array.from(tokens, token => pieces[token - 1] ?? '').join('')
  }
}

class FakeModel implements EngineModel {
  readonly chatTemplate: string
  readonly specialTokens = { bos: '', eos: '<|end|>', unknown: '', pad: '' }
  readonly controlTokens = ['<|end|>']
  readonly userDefinedTokens = []
  readonly endOfGeneration = [0]
  readonly vocabSize = vocabSize
  readonly samplingSuggestion = {}
  readonly moe: EngineModel['moe']
  private closed = false

  constructor(readonly engine: FakeEngine, readonly card: ModelCard, private readonly expertMemory: number) {
    this.chatTemplate = engine.options.chatTemplate ?? fakeTemplate
    this.moe = engine.options.dense ? undefined : fakeMoe
  }

  streamedExperts(): StreamedExperts | undefined {
    return this.expertMemory > 0 ? { memoryBytes: this.expertMemory, slotsPerLayer: 4, hits: 30, misses: 10, bytesRead: 1e6, readMs: 5, waitMs: 2 } : undefined
  }

  encode(text: string): Int32Array { return Int32Array.from(splitPieces(text), piece => this.engine.tokenOf(piece)) }
  decode(tokens: Iterable<number>): string { return this.engine.textOf(tokens) }

  createSession({ maxSeqLen }: { maxSeqLen: number }): EngineSession {
    const session = new FakeSession(this, maxSeqLen)
    this.engine.sessions.push(session)
    return session
  }

  close(): Promise<void> {
    if (!this.closed) this.engine.nClosed++
    this.closed = true
    return Promise.resolve()
  }
}

export class FakeSession implements EngineSession {
  closed = false
  nDrains = 0
  held: number[] = []
  private undrained = 0
  private total = 0

  constructor(private readonly model: FakeModel, readonly maxSeqLen: number) {}

  get seqLen(): number { return this.held.length }

  async generate(request: GenerateRequest, { signal, onPromptProgress, onToken }: {
    signal?: AbortSignal
    onPromptProgress?: (processed: number, total: number, cached: number) => void
    onToken: (token: GeneratedToken) => void
  }): Promise<GenerationResult> {
    const startedAt = performance.now()
    this.model.engine.requests.push(request)
    const prompt = Array.from(request.tokens)
    const cached = Math.min(sharedPrefix(this.held, prompt), prompt.length - 1)
    this.held = [...prompt]
    for (const processed of [Math.ceil((cached + prompt.length) / 2), prompt.length]) {
      await pause(this.model.engine.options.tokenDelayMs ?? 0)
      onPromptProgress?.(processed, prompt.length, cached)
    }
    this.route(prompt.length - cached)
    const { options } = this.model.engine
    const pieces = splitPieces((options.answer ?? defaultAnswer)(this.model.decode(prompt)))
    const promptMs = performance.now() - startedAt
    let generatedTokens = 0
    let stopReason: GenerationResult['stopReason'] = 'stop'
    for (const piece of pieces) {
      if (signal?.aborted) { stopReason = 'cancelled'; break }
      if ((request.maxTokens > 0 && generatedTokens >= request.maxTokens) || this.held.length >= this.maxSeqLen) { stopReason = 'length'; break }
      await pause(options.tokenDelayMs ?? 0)
      const id = this.model.engine.tokenOf(piece)
      this.held.push(id)
      this.route(1)
      generatedTokens++
      onToken({ id, text: piece, logprob: -0.5, top: [] })
    }
    return {
      stopReason, stopToken: stopReason === 'stop' ? 0 : -1, promptTokens: prompt.length, cachedTokens: cached, generatedTokens,
      promptMs, decodeMs: performance.now() - startedAt - promptMs, timeToFirstTokenMs: promptMs,
      ...(request.draft && { draft: fakeDraft(options, request.draft) }),
    }
  }

  logits(tokens: ArrayLike<number>): Promise<Float32Array> { return Promise.resolve(new Float32Array(tokens.length * vocabSize)) }
  route(tokens: ArrayLike<number> | number): Promise<RouteTrace> {
    const nTokens = typeof tokens === 'number' ? tokens : tokens.length
    this.undrained += nTokens
    this.total += nTokens
    return Promise.resolve({ nTokens, layers: [] })
  }

  watchRouting(): void { /* every answer is kept */ }

  drainRouting(): RoutingDrain | undefined {
    this.nDrains++
    if (this.model.moe === undefined || this.undrained === 0) return undefined
    const { nLayers, nRoutedExperts, nActiveExperts } = this.model.moe
    const nTokens = this.undrained
    this.undrained = 0
    return {
      prefill: false, nTokens, firstToken: this.total - nTokens,
      lastIds: Uint16Array.from({ length: nLayers * nActiveExperts }, (_, i) => i % nActiveExperts),
      lastWeights: new Float32Array(nLayers * nActiveExperts).fill(1 / nActiveExperts),
      // The first experts take every token.
      count: Uint32Array.from({ length: nLayers * nRoutedExperts }, (_, i) => (i % nRoutedExperts < nActiveExperts ? nTokens : 0)),
    }
  }

  snapshot(): Promise<void> { return Promise.resolve() }
  restore(): Promise<void> { return Promise.resolve() }
  close(): void { this.closed = true }
}

function fakeDraft({ nMtpLayers = 0 }: FakeEngineOptions, { mode, tokens }: DraftSettings): DraftStats {
  const isOn = nMtpLayers > 0 && mode !== 'off'
  return { isOn, reason: nMtpLayers === 0 ? 'no_draft_layer' : isOn ? 'measuring' : 'not_asked', steps: 4, drafted: 4 * tokens, accepted: 3, predictedSpeedup: 0 }
}

export function fakeCard(name: string, options: FakeEngineOptions = {}): ModelCard {
  return {
    name, architecture: 'fake', supported: true, unsupportedReason: '', license: 'mit', parametersTotal: 1e6, parametersActive: 5e5,
    fileBytes: options.weightsBytes ?? 1e6, nTensors: 0, nLayers: 5, embeddingLength: 64, nRoutedExperts: 8, nActiveExperts: 2, nSharedExperts: 0,
    nExpertGroups: 0, nActiveGroups: 0, nDenseLayers: 1, nMtpLayers: options.nMtpLayers ?? 0, maxSeqLen: options.maxSeqLen ?? 512, vocabSize, tokenizer: 'fake',
    hasChatTemplate: options.chatTemplate !== '', bitsPerWeight: 8, bytesPerToken: 5e5, quantFormats: [],
    tensorClassBytes: { experts: 0, sharedExperts: 0, attention: 0, dense: 0, router: 0, head: 0, embedding: 0, norms: 0, other: 0 },
    derived: [], warnings: [], ignoredTensors: [],
  }
}

function defaultAnswer(prompt: string): string {
  const question = prompt.split('<|user|>').at(-1)?.split('\n')[0] ?? ''
  return `You said: ${question}.`
}

// Words with the space before them; punctuation and marks of the template apart.
function splitPieces(text: string): string[] { return text.match(/<\|?\/?\w+\|?>|\s?[\p{L}\p{N}]+|\s+|[^\s\p{L}\p{N}]/gu) ?? [] }

function sharedPrefix(a: readonly number[], b: readonly number[]): number {
  let shared = 0
  while (shared < Math.min(a.length, b.length) && a[shared] === b[shared]) shared++
  return shared
}

function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => { if (milliseconds > 0) setTimeout(resolve, milliseconds); else setImmediate(resolve) })
}
