// The engine, as the services see it, over the addon. This is the only file that loads the
// addon; what the addon returns is copied into the shapes of types.ts.
import { createRequire } from 'node:module'
import { WorkbenchError } from '../contract/errors'
import type { Addon, ModelHandle } from '../../native/addon'
import { findAddon } from './native-addon'
import { awaitNative, callNative } from './native-errors'
import { withCancel } from './native-cancel'
import { defaultChatTemplate, metadataText, modelCard } from './model-card'
import { NativeModel } from './native-model'
import type { CacheFormat, CalibrateOptions, Engine, EngineInfo, EngineModel, GgufInspection, LoadOptions, MeasuredPeaks } from './types'

// Must equal kApiVersion of native/addon/module.cc.
const apiVersion = 5
const buildHint = 'Build it with "npm run build:native" (CMake 3.25 and a C++20 compiler are needed), or point MOEBIUS_ADDON at a built native.node.'

// Throws WorkbenchError E_NATIVE when there is no addon, or one that does not fit.
export function createNativeEngine(addonPath?: string): Engine {
  return new NativeEngine(loadAddon(addonPath))
}

function loadAddon(addonPath = findAddon()): Addon {
  if (addonPath === undefined) {
    throw new WorkbenchError('E_NATIVE', 'the native engine (native/build/Release/native.node) is not there', { hint: buildHint })
  }
  let addon: Addon
  try {
    addon = createRequire(import.meta.url)(addonPath) as Addon
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new WorkbenchError('E_NATIVE', `the native engine ${addonPath} cannot be loaded: ${reason}`, { hint: buildHint })
  }
  if (addon.apiVersion !== apiVersion) {
    const found = String(addon.apiVersion)
    throw new WorkbenchError('E_NATIVE', `the native engine ${addonPath} is another version (${found}, needed ${apiVersion})`, { hint: buildHint })
  }
  return addon
}

class NativeEngine implements Engine {
  readonly #addon: Addon

  constructor(addon: Addon) {
    this.#addon = addon
  }

  info(): EngineInfo {
    const info = callNative(() => this.#addon.engineInfo())
    return {
      version: info.version, backends: info.backends, cpuLevels: info.cpuLevels, cpuLevel: info.cpuLevel,
      threads: info.nPhysicalCores,
    }
  }

  async inspect(path: string): Promise<GgufInspection> {
    const { info, problem, metadata, tensors } = await awaitNative(() => this.#addon.inspect(path, {}))
    return {
      card: { ...modelCard(info, problem), nTensors: tensors.length },
      parts: info.parts,
      metadata: metadata.map(entry => ({
        key: entry.key, type: entry.isArray ? `${entry.type}[]` : entry.type, value: metadataText(entry),
      })),
      tensors: tensors.map(({ name, quantFormat, shape, bytes, part }) => ({ name, format: quantFormat, shape, bytes, part })),
      chatTemplate: defaultChatTemplate(info),
    }
  }

  async estimate(path: string, seqLen: number, cacheFormat: CacheFormat, expertMemory = 0): ReturnType<Engine['estimate']> {
    const estimate = await awaitNative(() => this.#addon.estimate(path, seqLen, cacheFormat, {}, expertMemory))
    const { weightsBytes, cacheBytes, scratchBytes, totalBytes, leastExpertMemory: leastBytes, mostExpertMemory: mostBytes } = estimate
    const experts = { memoryBytes: estimate.expertsBytes, slotsPerLayer: estimate.expertSlots, routedExperts: estimate.nRoutedExperts, leastBytes, mostBytes }
    return { seqLen, weightsBytes, cacheBytes, scratchBytes, totalBytes, ...(mostBytes > 0 && { experts }) }
  }

  async load(path: string, options: LoadOptions = {}): Promise<EngineModel> {
    const { signal, onProgress, threads = 0, exact = false, bf16Attention = false, overrides = {}, vocabularyOnly = false, expertMemory = 0, thresholds } = options
    const touchWeights = !vocabularyOnly && await this.#wantsTouch(path, options)
    const report = onProgress && loadMeter(onProgress)
    const handle = await withCancel(this.#addon, signal, cancel => awaitNative<ModelHandle>(() => this.#addon.loadModel(
      path, { threads, exact, bf16Attention, overrides, touchWeights, expertMemory, ...(vocabularyOnly && { vocabularyOnly }), ...(thresholds && { thresholds: { tileColumns: thresholds.tileColumns, mlaAbsorbedCost: thresholds.mlaAbsorbedCost } }) }, report, cancel)))
    return callNative(() => new NativeModel(this.#addon, handle))
  }

  // Reading weights that do not fit would only push out what was read before.
  async #wantsTouch(path: string, { touch = 'auto', overrides = {}, expertMemory = 0, onTouchSkipped }: LoadOptions): Promise<boolean> {
    if (touch === 'yes') return true
    // Streamed experts are not read in, but their memory must be left.
    const needed = async (): Promise<number> => {
      if (expertMemory === 0) return (await awaitNative(() => this.#addon.inspect(path, overrides))).info.fileBytes
      const { weightsBytes, expertsBytes } = await awaitNative(() => this.#addon.estimate(path, 1, 'f16', overrides, expertMemory))
      return weightsBytes + expertsBytes
    }
    const fits = touch === 'auto' && await needed() < this.memory().availableBytes
    if (!fits) onTouchSkipped?.(touch === 'no' ? 'asked' : 'memory')
    return fits
  }

  async calibrate({ threads = 0, signal, onProgress }: CalibrateOptions = {}): Promise<MeasuredPeaks> {
    const measured = await withCancel(this.#addon, signal, cancel => awaitNative(() => this.#addon.calibrate(threads, onProgress, cancel)))
    const { cpuBrand, cpuLevel, nThreads, milliseconds, thresholds } = measured
    const { readBytesPerSecond, int8OperationsPerSecond, f32OperationsPerSecond, bf16OperationsPerSecond } = measured
    return {
      cpuBrand, cpuLevel, threads: nThreads, durationMs: milliseconds,
      readBytesPerSecond, int8OperationsPerSecond, f32OperationsPerSecond, bf16OperationsPerSecond, thresholds,
    }
  }

  memory(): ReturnType<Engine['memory']> {
    return callNative(() => this.#addon.memoryInfo())
  }
}

// What the addon counts, with the speed since its first word.
function loadMeter(onProgress: NonNullable<LoadOptions['onProgress']>): (bytesDone: number, bytesTotal: number) => void {
  let first: { at: number, bytes: number } | undefined
  return (bytesDone, bytesTotal) => {
    const at = performance.now()
    first ??= { at, bytes: bytesDone }
    const bytesPerSecond = at > first.at ? (bytesDone - first.bytes) / (at - first.at) * 1000 : 0
    onProgress({ fraction: bytesTotal > 0 ? bytesDone / bytesTotal : 1, bytesDone, bytesTotal, bytesPerSecond })
  }
}
