// A loaded model over its native handle.
import type { Addon, ModelHandle } from '../../native/addon'
import type { ModelCard, StreamedExperts } from '../contract'
import { WorkbenchError } from '../contract/errors'
import { modelCard, samplingSuggestion } from './model-card'
import { awaitNative, callNative } from './native-errors'
import { NativeSession } from './native-session'
import { toTokens } from './native-tokens'
import type { CacheFormat, EncodeOptions, EngineModel, EngineSession, TextSpan } from './types'

export class NativeModel implements EngineModel {
  readonly card: ModelCard
  readonly chatTemplate: string
  readonly specialTokens: EngineModel['specialTokens']
  readonly controlTokens: readonly string[]
  readonly userDefinedTokens: readonly string[]
  readonly endOfGeneration: number[]
  readonly vocabSize: number
  readonly samplingSuggestion: Record<string, number>
  readonly moe: EngineModel['moe']
  readonly #addon: Addon
  readonly #handle: ModelHandle

  constructor(addon: Addon, handle: ModelHandle) {
    this.#addon = addon
    this.#handle = handle
    const { info, ...model } = addon.modelInfo(handle)
    const { bos = '', eos = '', unknown = '', pad = '' } = model.specialTokens
    this.card = modelCard(info)
    this.chatTemplate = model.chatTemplate
    this.specialTokens = { bos, eos, unknown, pad }
    this.controlTokens = model.controlTokens
    this.userDefinedTokens = model.userDefinedTokens
    this.endOfGeneration = [...model.endOfGeneration]
    this.vocabSize = model.vocabSize
    this.samplingSuggestion = samplingSuggestion(info)
    const [firstMoeLayer] = model.moeLayers
    this.moe = firstMoeLayer === undefined ? undefined : {
      nLayers: model.moeLayers.length, firstMoeLayer,
      nRoutedExperts: info.nRoutedExperts, nActiveExperts: info.nActiveExperts,
    }
  }

  encode(text: string, { addSpecial, parseSpecial, literal = [] }: EncodeOptions): Int32Array {
    return callNative(() => literal.length > 0
      ? this.#addon.encode(this.#handle, text, addSpecial, parseSpecial, byteOffsets(text, literal))
      : this.#addon.encode(this.#handle, text, addSpecial, parseSpecial))
  }

  decode(tokens: Iterable<number>, options: { keepSpecial?: boolean } = {}): string {
    return callNative(() => this.#addon.decode(this.#handle, toTokens([...tokens], 'tokens'), !options.keepSpecial, true))
  }

  // A model that was closed meanwhile has none.
  streamedExperts(): StreamedExperts | undefined {
    try {
      return this.#addon.streamedExperts(this.#handle)
    } catch {
      return undefined
    }
  }

  createSession(options: { maxSeqLen: number, cacheFormat: CacheFormat }): EngineSession {
    if (!Number.isInteger(options.maxSeqLen) || options.maxSeqLen < 1) {
      throw new WorkbenchError('E_BAD_REQUEST', `maxSeqLen must be a positive integer, got ${options.maxSeqLen}`)
    }
    const handle = callNative(() => this.#addon.createSession(this.#handle, options.maxSeqLen, options.cacheFormat))
    return new NativeSession(this.#addon, handle)
  }

  async close(): Promise<void> {
    await awaitNative(() => this.#addon.closeModel(this.#handle))
  }
}

function byteOffsets(text: string, spans: readonly TextSpan[]): Int32Array {
  let [at, bytes] = [0, 0]
  const offset = (position: number): number => {
    bytes += Buffer.byteLength(text.slice(at, position))
    at = position
    return bytes
  }
  return Int32Array.from(spans.flatMap(({ start, end }) => [offset(start), offset(end)]))
}
