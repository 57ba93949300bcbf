// An engine small enough to predict: bytes are tokens, the likeliest next token is a function
// of the last one, and experts are a function of the token. Decode and prefill agree, unless
// told to disagree.
import { type DraftStats, WorkbenchError, type ModelCard } from '../../electron/contract'
import type { DraftSettings, EncodeOptions, Engine, EngineModel, EngineSession, GenerateRequest, GgufInspection, LoadOptions } from '../../electron/engine/types'

const special = ['<s>', '</s>', '<think>', '</think>']
export const tinyVocabSize = 256 + special.length
export const tinyTemplate = '{{ bos_token }}{% for m in messages %}{% if m.role == "refused" %}{{ raise_exception("no") }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}'

export interface TinyOptions {
  // What generate() says; the likeliest tokens when absent.
  answer?: string
  chatTemplate?: string
  dense?: boolean
  expertBytes?: number
  quantFormat?: string
  decodeDiffers?: boolean
  notFinite?: boolean
  brokenDecoder?: boolean
  unsupported?: string
  nMtpLayers?: number
  onToken?: (count: number) => void
}

export function tinyCard(options: TinyOptions = {}): ModelCard {
  return {
    name: 'Tiny', architecture: 'deepseek2', supported: options.unsupported === undefined, unsupportedReason: options.unsupported ?? '', license: 'mit', parametersTotal: 6_110_000, parametersActive: 1_800_000,
    fileBytes: 12_000_000, nTensors: 2, nLayers: 3, embeddingLength: 8, nRoutedExperts: options.dense ? 0 : 8, nActiveExperts: options.dense ? 0 : 2, nSharedExperts: 1, nExpertGroups: 4, nActiveGroups: 2,
    nDenseLayers: 1, nMtpLayers: options.nMtpLayers ?? 0, maxSeqLen: 512, vocabSize: tinyVocabSize, tokenizer: 'bytes', hasChatTemplate: true, bitsPerWeight: 16, bytesPerToken: 3_600_000,
    quantFormats: [{ format: options.quantFormat ?? 'F16', nTensors: 2, bytes: 11_000_000 }], tensorClassBytes: { experts: options.expertBytes ?? 0, sharedExperts: 0, attention: 0, dense: 0, router: 0, head: 0, embedding: 0, norms: 0, other: 0 },
    derived: [{ name: 'score_func', value: 'sigmoid', origin: 'key' }, { name: 'n_expert_groups', value: '4', origin: 'table' }], warnings: ['groups assumed 4/2'], ignoredTensors: [],
  }
}

export function encodeTiny(text: string, { addSpecial, parseSpecial, literal = [] }: EncodeOptions): Int32Array {
  const ids: number[] = addSpecial ? [0] : []
  const parts = parseSpecial ? text.split(/(<s>|<\/s>|<think>|<\/think>)/) : [text]
  let at = 0
  for (const part of parts) {
    const isLiteral = literal.some(({ start, end }) => start < at + part.length && end > at)
    at += part.length
    const id = parseSpecial && !isLiteral ? special.indexOf(part) : -1
    if (id >= 0) ids.push(id)
    else for (const byte of Buffer.from(part)) ids.push(byte + special.length)
  }
  return Int32Array.from(ids)
}

export function nextTiny(token: number): number {
  return special.length + 97 + (token * 7 + 3) % 26
}

export class TinyEngine implements Engine {
  readonly loads: { path: string, options: LoadOptions | undefined }[] = []
  // What watchRouting() was told, in order.
  readonly watched: boolean[] = []
  closed = 0
  sessions = 0
  available = 1e12

  constructor(readonly options: TinyOptions = {}) {}

  info(): ReturnType<Engine['info']> {
    return { version: '0', backends: [], cpuLevels: [], cpuLevel: 'reference', threads: 1 }
  }

  memory(): ReturnType<Engine['memory']> { return { totalBytes: 1e12, availableBytes: this.available, processBytes: 1 } }

  estimate(_path: string, seqLen: number): ReturnType<Engine['estimate']> {
    return Promise.resolve({ seqLen, weightsBytes: 1, cacheBytes: seqLen * 1000, scratchBytes: 0, totalBytes: 1 + seqLen * 1000 })
  }

  inspect(path: string): Promise<GgufInspection> {
    return Promise.resolve({
      card: tinyCard(this.options), parts: [path], chatTemplate: tinyTemplate,
      metadata: [{ key: 'general.name', type: 'string', value: 'Ti\u001bny' }],
      tensors: [{ name: 'token_embd.weight', format: 'F16', shape: [8, 260], bytes: 5_000_000, part: 0 }, { name: 'output.weight', format: 'F16', shape: [8, 260], bytes: 6_000_000, part: 0 }],
    })
  }

  calibrate({ threads = 0, onProgress }: Parameters<Engine['calibrate']>[0] = {}): ReturnType<Engine['calibrate']> {
    onProgress?.(1)
    return Promise.resolve({
      cpuBrand: 'Tiny CPU', cpuLevel: 'reference', threads: threads || 1, readBytesPerSecond: 2e9, int8OperationsPerSecond: 4e9,
      f32OperationsPerSecond: 1e9, bf16OperationsPerSecond: 0, durationMs: 5,
      thresholds: { tileColumns: { F32: 12, F16: 32, Q4_K: 8, Q6_K: 8, IQ3_S: 5 }, mlaAbsorbedCost: 1.8, mlaExpandsFrom: 78, mlaHistory: 4096 },
    })
  }

  load(path: string, options?: LoadOptions): Promise<EngineModel> {
    if (this.options.unsupported !== undefined) return Promise.reject(new WorkbenchError('E_UNSUPPORTED', this.options.unsupported))
    this.loads.push({ path, options })
    if (options?.touch === 'auto' && this.available < 1e7) options.onTouchSkipped?.('memory')
    options?.onProgress?.({ fraction: 0.5, bytesDone: 2 ** 30, bytesTotal: 2 ** 31, bytesPerSecond: 8.5e8 })
    options?.onProgress?.({ fraction: 1, bytesDone: 2 ** 31, bytesTotal: 2 ** 31, bytesPerSecond: 9e8 })
    return Promise.resolve(tinyModel(this))
  }
}

function tinyModel(engine: TinyEngine): EngineModel {
  const { options } = engine
  return {
    card: tinyCard(options), chatTemplate: options.chatTemplate ?? tinyTemplate, specialTokens: { bos: '<s>', eos: '</s>', unknown: '', pad: '' }, controlTokens: special, userDefinedTokens: [], endOfGeneration: [1], vocabSize: tinyVocabSize,
    samplingSuggestion: {}, moe: options.dense ? undefined : { nLayers: 2, firstMoeLayer: 1, nRoutedExperts: 8, nActiveExperts: 2 },
    encode: encodeTiny,
    decode: tokens => {
      const text = [...tokens].map(id => id < special.length ? Buffer.from(special[id] ?? '') : Buffer.of(id - special.length))
      return Buffer.concat(text).toString(options.brokenDecoder ? 'latin1' : 'utf8')
    },
    streamedExperts: () => engine.loads.at(-1)?.options?.expertMemory ? { memoryBytes: 3 * 2 ** 30, slotsPerLayer: 4, hits: 30, misses: 10, bytesRead: 2 ** 30, readMs: 500, waitMs: 120 } : undefined,
    createSession: ({ maxSeqLen }) => tinySession(engine, maxSeqLen),
    close: () => { engine.closed++; return Promise.resolve() },
  }
}

function tinySession(engine: TinyEngine, maxSeqLen: number): EngineSession {
  engine.sessions++
  const { options } = engine
  return {
    maxSeqLen, seqLen: 0,
    generate: (request, callbacks) => generate(options, request, callbacks),
    logits: tokens => {
      const rows = new Float32Array(tokens.length * tinyVocabSize)
      for (let t = 0; t < tokens.length; t++) {
        for (let v = 0; v < tinyVocabSize; v++) rows[t * tinyVocabSize + v] = -(v % 7)
        rows[t * tinyVocabSize + nextTiny(tokens[t] ?? 0)] = 5
      }
      if (options.notFinite) rows[3] = Number.NaN
      return Promise.resolve(rows)
    },
    route: tokens => Promise.resolve({
      nTokens: tokens.length,
      layers: [1, 2].map(layer => ({
        layer, ids: Int32Array.from({ length: tokens.length * 2 }, (_, i) => ((tokens[i >> 1] ?? 0) + layer + (i & 1)) % 8), weights: Float32Array.from({ length: tokens.length * 2 }, (_, i) => (i & 1) ? 0.25 : 0.75),
      })),
    }),
    watchRouting: watched => { engine.watched.push(watched) },
    drainRouting: () => undefined,
    snapshot: () => Promise.resolve(), restore: () => Promise.resolve(), close: () => { engine.sessions-- },
  }
}

function tinyDraft({ nMtpLayers = 0 }: TinyOptions, { mode, tokens }: DraftSettings): DraftStats {
  if (nMtpLayers === 0) return { isOn: false, reason: 'no_draft_layer', steps: 0, drafted: 0, accepted: 0, predictedSpeedup: 0 }
  return { isOn: true, reason: mode === 'always' ? 'always' : 'gains', steps: 10, drafted: 10 * tokens, accepted: 8, predictedSpeedup: 1.234 }
}

async function generate(options: TinyOptions, request: GenerateRequest, callbacks: Parameters<EngineSession['generate']>[1]): ReturnType<EngineSession['generate']> {
  const script = options.answer === undefined ? undefined : encodeTiny(options.answer, { addSpecial: false, parseSpecial: false })
  const limit = request.maxTokens || 100
  let last = request.tokens[request.tokens.length - 1] ?? 0
  let count = 0
  const result = (stopReason: 'stop' | 'length' | 'cancelled') => ({
    stopReason, stopToken: stopReason === 'stop' ? 1 : -1, promptTokens: request.tokens.length, cachedTokens: 0, generatedTokens: count, promptMs: 10, decodeMs: 20, timeToFirstTokenMs: 10,
    ...(request.draft && request.draft.mode !== 'off' && { draft: tinyDraft(options, request.draft) }),
  })
  while (count < limit) {
    await new Promise(resolve => setImmediate(resolve))
    if (callbacks.signal?.aborted) return result('cancelled')
    if (script && count >= script.length) return result('stop')
    last = script ? script[count] ?? 0 : nextTiny(last) + (options.decodeDiffers && count === 3 ? 1 : 0)
    count++
    callbacks.onToken({ id: last, text: String.fromCharCode(last - special.length), logprob: 0, top: [] })
    options.onToken?.(count)
  }
  return result('length')
}
