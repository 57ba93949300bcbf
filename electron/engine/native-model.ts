// A loaded model over its native handle.
import type { Addon, ModelHandle } from '../../native/addon'
import type { ModelCard } from '../contract'
import { WorkbenchError } from '../contract/errors'
import { modelCard, samplingSuggestion } from './model-card'
import { awaitNative, callNative } from './native-errors'
import { NativeSession } from './native-session'
import { toTokens } from './native-tokens'
import type { CacheFormat, EngineModel, EngineSession } from './types'

export class NativeModel implements EngineModel {
  readonly card: ModelCard
  readonly chatTemplate: string
  readonly specialTokens: EngineModel['specialTokens']
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
    this.endOfGeneration = [...model.endOfGeneration]
    this.vocabSize = model.vocabSize
    this.samplingSuggestion = samplingSuggestion(info)
    const [firstMoeLayer] = model.moeLayers
    this.moe = firstMoeLayer === undefined ? undefined : {
      nLayers: model.moeLayers.length, firstMoeLayer,
      nRoutedExperts: info.nRoutedExperts, nActiveExperts: info.nActiveExperts,
    }
  }

  encode(text: string, options: { addSpecial: boolean, parseSpecial: boolean }): Int32Array {
    return callNative(() => this.#addon.encode(this.#handle, text, options.addSpecial, options.parseSpecial))
  }

  decode(tokens: Iterable<number>, options: { keepSpecial?: boolean } = {}): string {
    return callNative(() => this.#addon.decode(this.#handle, toTokens([...tokens], 'tokens'), !options.keepSpecial, true))
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
