// Loaded models: load, unload, memory guardrail, and the lease a generation holds on its model.
// Instances are keyed by their own id, so that a later host per model needs no other contract.
import { randomUUID } from 'node:crypto'
import { WorkbenchError, type EngineStatus, type LoadedModel, type MemoryEstimate, type ModelCard, type Thresholds } from '../contract'
import type { CacheFormat, Engine, EngineModel, LoadProgress, TouchMode } from '../engine/types'
import { Emitter } from './emitter'
import { expertsText, rememberedExpertMemory, suggestExpertMemory } from './expert-memory'
import type { LogService } from './logs'
import type { LibraryModel, ModelLibrary } from './model-library'
import { SessionPool, type PooledSession } from './session-pool'
import type { SettingsService } from './settings'
import { TokenMeter } from './token-meter'
import { Turns } from './turns'

export interface LoadedInstance {
  readonly modelId: string
  readonly instanceId: string
  readonly model: EngineModel
  readonly pool: SessionPool
  readonly maxSeqLen: number
  readonly cacheFormat: CacheFormat
  readonly expertMemory: number   // 0: mapped
}

export interface LoadRequest {
  // 0 or absent: the setting, else as much as the model and the memory allow.
  maxSeqLen?: number
  // Loads although the estimate says it does not fit.
  force?: boolean
  // Bytes for streamed experts, 0 to map them. Absent: as the settings say.
  expertMemory?: number
  // Whether the weights are read in before the load is done; 'auto': when they fit into memory.
  touch?: TouchMode
  signal?: AbortSignal
  onProgress?: (fraction: number) => void
}

export interface UseOptions {
  loadOnDemand?: boolean
  // Idle time after which the model is unloaded again, if this use loaded it.
  keepAliveMs?: number
  signal?: AbortSignal
  onProgress?: (fraction: number) => void
}

// A generation that runs now; the newest one is what the routing view shows.
export interface RunningGeneration { instance: LoadedInstance, pooled: PooledSession }

interface Instance extends LoadedInstance {
  status: LoadedModel
  leases: number
  lastUsed: number
  keepAliveMs: number | undefined
  stopIdleTimer: () => void
  closing: Promise<void> | undefined
}

interface Loading {
  status: LoadedModel
  result: Promise<Instance>
  abort: AbortController
  waiting: number
  listeners: Set<(fraction: number) => void>
}

const defaultMaxSeqLen = 32_768
const smallestAutoSeqLen = 2048
// The rest of the memory belongs to the other programs.
const usableMemory = 0.95

export class ModelService {
  readonly onDidChange = new Emitter<EngineStatus>()
  readonly onDidStart = new Emitter<RunningGeneration>()
  readonly onDidEnd = new Emitter<RunningGeneration>()
  readonly running: RunningGeneration[] = []
  private readonly instances = new Map<string, Instance>()
  private readonly loading = new Map<string, Loading>()
  private readonly turns = new Turns()
  private readonly meter = new TokenMeter(() => this.announce())
  // One load at a time: two at once would each see the memory of the other as free.
  private loadQueue: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly engine: Engine, private readonly library: ModelLibrary,
    private readonly settings: SettingsService, private readonly log: LogService,
    // For models with experts that the settings do not name.
    private readonly defaultExpertMemory = 0,
    // As measured of this machine, if it was: a load never waits for that.
    private readonly thresholds: () => Thresholds | undefined = () => undefined,
  ) {}

  status(): EngineStatus {
    const { version, backends, cpuLevels, threads } = this.engine.info()
    const { totalBytes, availableBytes, processBytes } = this.engine.memory()
    return {
      version, backends, cpuLevels, threads,
      loaded: [...[...this.instances.values()].map(({ status, model }) => withExperts(status, model)), ...[...this.loading.values()].map(({ status }) => status)],
      memory: { totalBytes, availableBytes, hostBytes: processBytes },
      tokensPerSecond: this.meter.perSecond,
      activeGenerations: this.running.length,
    }
  }

  loaded(modelId: string): LoadedInstance | undefined { return this.find(modelId) }

  // Being loaded, or answering.
  isBusy(modelId: string): boolean { return this.loading.has(modelId) || (this.find(modelId)?.leases ?? 0) > 0 }

  // The memory a load would take; seqLen 0 means what load() would choose.
  async estimate(modelId: string, seqLen: number, wantedExpertMemory?: number): Promise<MemoryEstimate> {
    const entry = this.library.require(modelId)
    const expertMemory = this.expertMemoryFor(entry, wantedExpertMemory)
    return this.estimateFor(entry, seqLen || await this.chooseSeqLen(entry, 0, expertMemory), expertMemory)
  }

  // Resolves when the model is ready. Loading a loaded model with another context reloads it.
  async load(modelId: string, request: LoadRequest = {}): Promise<LoadedInstance> {
    const entry = this.library.require(modelId)
    if (entry.problem) throw new WorkbenchError(entry.problem.code, entry.problem.message, entry.problem)
    const present = this.find(modelId)
    const isSame = !request.maxSeqLen || present?.maxSeqLen === request.maxSeqLen
    if (present && isSame && (request.expertMemory === undefined || request.expertMemory === present.expertMemory)) return present
    let loading = this.loading.get(modelId)
    if (!loading) {
      loading = this.startLoading(entry, request)
      this.loading.set(modelId, loading)
      this.announce()
    }
    return this.join(loading, request)
  }

  async unload(modelId: string): Promise<void> {
    this.library.require(modelId)
    this.loading.get(modelId)?.abort.abort()
    const instance = this.find(modelId)
    if (instance) await this.closeInstance(instance)
  }

  // Runs `work` with the model loaded and protected from being unloaded to make room.
  async use<T>(modelId: string, options: UseOptions, work: (instance: LoadedInstance) => Promise<T>): Promise<T> {
    let instance = this.find(modelId)
    if (!instance) {
      if (options.loadOnDemand === false) {
        this.library.require(modelId)
        throw new WorkbenchError('E_LOADING', `The model "${modelId}" is not loaded.`, { hint: 'Load it first.', retryable: true })
      }
      await this.load(modelId, { ...(options.signal && { signal: options.signal }), ...(options.onProgress && { onProgress: options.onProgress }) })
      instance = this.find(modelId)
      if (!instance) throw new WorkbenchError('E_CONFLICT', `The model "${modelId}" was unloaded again at once.`, { retryable: true })
      instance.keepAliveMs = options.keepAliveMs
    }
    const leased = instance
    instance.leases++
    instance.stopIdleTimer()
    try {
      return await this.turns.share(() => work(leased))
    } finally {
      instance.leases--
      instance.lastUsed = Date.now()
      this.watchIdle(instance)
    }
  }

  // Runs `work` once nothing is loaded or generated any more; what comes meanwhile waits for it,
  // and calls giveWay.
  alone<T>(work: () => Promise<T>, signal?: AbortSignal, giveWay?: () => void): Promise<T> { return this.turns.takeAlone(work, signal, giveWay) }

  beginGeneration(instance: LoadedInstance, pooled: PooledSession): () => void {
    const generation = { instance, pooled }
    this.running.push(generation)
    this.meter.start()
    this.onDidStart.emit(generation)
    this.announce()
    return () => {
      this.running.splice(this.running.indexOf(generation), 1)
      if (this.running.length === 0) this.meter.stop()
      this.onDidEnd.emit(generation)
      this.announce()
    }
  }

  countToken(): void { this.meter.count() }

  async close(): Promise<void> {
    this.meter.stop()
    for (const { abort } of this.loading.values()) abort.abort()
    await Promise.allSettled([...this.loading.values()].map(({ result }) => result))
    await Promise.allSettled([...this.instances.values()].map(instance => this.closeInstance(instance)))
  }

  private find(modelId: string): Instance | undefined {
    return [...this.instances.values()].find(instance => instance.modelId === modelId && !instance.closing)
  }

  private startLoading(entry: LibraryModel, request: LoadRequest): Loading {
    const { id } = entry
    const status: LoadedModel = {
      modelId: id, instanceId: randomUUID(), state: 'loading', progress: 0, maxSeqLen: 0, cacheFormat: this.settings.value.cacheFormat,
      threads: this.settings.value.threads || this.engine.info().threads, backend: 'cpu', bf16Attention: this.usesBf16Attention(), weightsBytes: 0, loadMs: 0,
    }
    const loading: Loading = { status, abort: new AbortController(), waiting: 0, listeners: new Set(), result: Promise.reject(new Error()) }
    loading.result.catch(() => {})
    const result = this.loadQueue.then(() => this.turns.share(() => this.loadNow(entry, request, loading))).finally(() => {
      this.loading.delete(id)
      this.announce()
    })
    this.loadQueue = result.catch(() => {})
    loading.result = result
    return loading
  }

  private async loadNow(entry: LibraryModel, request: LoadRequest, loading: Loading): Promise<Instance> {
    const { status, abort } = loading
    abort.signal.throwIfAborted()
    const startedAt = performance.now()
    const before = this.find(entry.id)
    if (before) {
      if (before.leases > 0) throw new WorkbenchError('E_CONFLICT', `The model "${entry.id}" is answering; its context cannot be changed now.`, { retryable: true })
      await this.closeInstance(before)
    }
    const expertMemory = this.expertMemoryFor(entry, request.expertMemory)
    const { seqLen, weightsBytes, experts } = await this.makeRoom(entry, request, expertMemory)
    const thresholds = this.thresholds()
    const model = await this.engine.load(entry.path, {
      threads: status.threads, exact: this.settings.value.exact, bf16Attention: status.bf16Attention, expertMemory, signal: abort.signal,
      ...(request.touch && { touch: request.touch }), ...(thresholds && { thresholds }),
      onTouchSkipped: reason => { status.touchSkipped = reason },
      onProgress: progress => this.tellProgress(loading, progress),
    })
    const loadMs = performance.now() - startedAt
    const { touching, ...loaded } = status
    const instance = this.createInstance(model, expertMemory, {
      // Right after a start the library may not have read the file's card yet.
      ...loaded, state: 'ready', progress: 1, maxSeqLen: Math.min(seqLen, maxSeqLenOf(model.card)), loadMs,
      weightsBytes: expertMemory > 0 ? weightsBytes + (experts?.memoryBytes ?? 0) : model.card.fileBytes,
    })
    this.instances.set(instance.instanceId, instance)
    this.log.info(`Loaded ${entry.id} in ${Math.round(loadMs)} ms, context ${seqLen}, ${status.threads} threads; ${touchText(status.touchSkipped, touching)}${expertMemory > 0 && experts ? `; ${expertsText(experts)}` : ''}.`)
    return instance
  }

  private usesBf16Attention(): boolean {
    const { exact, bf16Attention } = this.settings.value
    return bf16Attention && !exact && this.engine.info().backends.some(({ id, hasBf16Attention }) => id === 'cpu' && hasBf16Attention)
  }

  private tellProgress({ status, listeners }: Loading, { fraction, ...touching }: LoadProgress): void {
    // Every percent is told, not every tensor.
    if (fraction < 1 && fraction - status.progress < 0.01) return
    status.progress = fraction
    status.touching = touching
    listeners.forEach(listener => listener(fraction))
    this.announce()
  }

  private createInstance(model: EngineModel, expertMemory: number, status: LoadedModel): Instance {
    const { modelId, instanceId, maxSeqLen } = status
    const cacheFormat = status.cacheFormat as CacheFormat
    let sessionBytes = 0
    void this.estimateFor(this.library.require(modelId), maxSeqLen, expertMemory).then(({ cacheBytes, scratchBytes }) => { sessionBytes = cacheBytes + scratchBytes }, () => {})
    const pool = new SessionPool(
      () => model.createSession({ maxSeqLen, cacheFormat }),
      () => sessionBytes < usableMemory * this.engine.memory().availableBytes,
    )
    return {
      modelId, instanceId, model, pool, maxSeqLen, cacheFormat, expertMemory, status,
      leases: 0, lastUsed: Date.now(), keepAliveMs: undefined, stopIdleTimer: () => {}, closing: undefined,
    }
  }

  private join(loading: Loading, { signal, onProgress }: LoadRequest): Promise<Instance> {
    loading.waiting++
    if (onProgress) loading.listeners.add(onProgress)
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        loading.waiting--
        if (onProgress) loading.listeners.delete(onProgress)
        signal?.removeEventListener('abort', cancelled)
      }
      // Only when nobody waits any more is the load itself given up.
      const cancelled = (): void => {
        leave()
        if (loading.waiting === 0) loading.abort.abort()
        reject(cancelledError(loading.status.modelId))
      }
      if (signal?.aborted) return cancelled()
      signal?.addEventListener('abort', cancelled, { once: true })
      loading.result.then(instance => { leave(); resolve(instance) }, (error: unknown) => {
        leave()
        reject(loading.abort.signal.aborted ? cancelledError(loading.status.modelId) : error)
      })
    })
  }

  // Unloads idle models, the longest unused first, until the new one fits. Returns what it will take.
  private async makeRoom(entry: LibraryModel, { maxSeqLen = 0, force = false }: LoadRequest, expertMemory: number): Promise<MemoryEstimate> {
    const idle = [...this.instances.values()].filter(({ leases, closing }) => leases === 0 && !closing).sort((a, b) => a.lastUsed - b.lastUsed)
    const freed = idle.reduce((sum, { status }) => sum + status.weightsBytes, 0)
    const seqLen = await this.chooseSeqLen(entry, maxSeqLen, expertMemory, freed)
    const estimate = await this.estimateFor(entry, seqLen, expertMemory, freed)
    const { totalBytes, weightsBytes, cacheBytes, scratchBytes, availableBytes } = estimate
    if (!force && totalBytes > usableMemory * (availableBytes + freed)) {
      const suggestion = estimate.experts?.suggestedBytes
      throw new WorkbenchError('E_MEMORY', `"${entry.id}" needs about ${mebibytes(totalBytes)} with a context of ${seqLen} tokens, but only ${mebibytes(availableBytes + freed)} are free.`, {
        hint: suggestion === undefined
          ? 'Choose a shorter context, close other programs, or load it anyway.'
          : `Stream its experts with ${mebibytes(suggestion)} of memory for them, choose a shorter context, or load it anyway.`,
        detail: { seqLen, totalBytes, weightsBytes, cacheBytes, scratchBytes, availableBytes, freedBytes: freed, ...(suggestion !== undefined && { suggestedExpertMemory: suggestion }) },
      })
    }
    for (const instance of idle) {
      if (totalBytes <= usableMemory * this.engine.memory().availableBytes) break
      await this.closeInstance(instance)
    }
    return estimate
  }

  private expertMemoryFor({ id, card }: LibraryModel, wanted: number | undefined): number {
    return wanted ?? rememberedExpertMemory(this.settings.value.expertMemory, id, this.defaultExpertMemory, card?.nRoutedExperts ?? 0)
  }

  // Wanted, else the setting, else the model's own up to 32k, halved until it fits.
  private async chooseSeqLen(entry: LibraryModel, wanted: number, expertMemory: number, freedBytes = 0): Promise<number> {
    const limit = maxSeqLenOf(entry.card)
    const fixed = wanted || this.settings.value.maxSeqLen
    if (fixed) return Math.min(fixed, limit)
    let seqLen = Math.min(limit, defaultMaxSeqLen)
    while (seqLen / 2 >= smallestAutoSeqLen) {
      const { totalBytes, availableBytes } = await this.estimateFor(entry, seqLen, expertMemory)
      if (totalBytes <= usableMemory * (availableBytes + freedBytes)) break
      seqLen = Math.floor(seqLen / 2)
    }
    return seqLen
  }

  private async estimateFor({ path }: LibraryModel, seqLen: number, expertMemory: number, freedBytes = 0): Promise<MemoryEstimate> {
    const { cacheFormat } = this.settings.value
    const { experts, ...estimate } = await this.engine.estimate(path, seqLen, cacheFormat, expertMemory)
    const { availableBytes } = this.engine.memory()
    const usableBytes = usableMemory * (availableBytes + freedBytes)
    const fits = estimate.totalBytes <= usableMemory * availableBytes
    if (!experts) return { ...estimate, availableBytes, fits }
    const suggestedBytes = estimate.totalBytes <= usableBytes ? undefined
      : suggestExpertMemory(await this.engine.estimate(path, seqLen, cacheFormat, experts.leastBytes), usableBytes)
    return { ...estimate, availableBytes, fits, experts: { ...experts, ...(suggestedBytes !== undefined && { suggestedBytes }) } }
  }

  private closeInstance(instance: Instance): Promise<void> {
    instance.stopIdleTimer()
    instance.closing ??= (async () => {
      instance.status = { ...instance.status, state: 'unloading' }
      this.announce()
      instance.pool.close()
      await instance.model.close()
      this.instances.delete(instance.instanceId)
      this.log.info(`Unloaded ${instance.modelId}.`)
      this.announce()
    })()
    return instance.closing
  }

  private watchIdle(instance: Instance): void {
    if (instance.keepAliveMs === undefined || instance.leases > 0 || instance.closing) return
    instance.stopIdleTimer()
    const timer = setTimeout(() => void this.closeInstance(instance), Math.min(instance.keepAliveMs, 2 ** 31 - 1))
    timer.unref()
    instance.stopIdleTimer = () => clearTimeout(timer)
  }

  private announce(): void { this.onDidChange.emit(this.status()) }
}

function withExperts(status: LoadedModel, model: EngineModel): LoadedModel {
  const experts = model.streamedExperts()
  return experts ? { ...status, experts } : status
}

function maxSeqLenOf(card: ModelCard | undefined): number { return card && card.maxSeqLen > 0 ? card.maxSeqLen : defaultMaxSeqLen }

function touchText(skipped: LoadedModel['touchSkipped'], touching: LoadedModel['touching']): string {
  if (skipped === 'asked') return 'weights are read when they are first used, as asked'
  if (skipped === 'memory') return 'weights are larger than the available memory and are read when they are used'
  return `weights read in${touching && touching.bytesPerSecond > 0 ? ` at ${Math.round(touching.bytesPerSecond / 1e6)} MB/s` : ''}`
}

function mebibytes(bytes: number): string { return `${Math.ceil(bytes / 2 ** 20).toLocaleString('en')} MiB` }

function cancelledError(modelId: string): WorkbenchError { return new WorkbenchError('E_CANCELLED', `Loading "${modelId}" was cancelled.`) }
