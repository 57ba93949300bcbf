// What this machine can do at most: measured at the first run while nobody needs the processor,
// when it is asked for before that, and on request; never beside a generation, and kept for the processor, its level and the number of threads.
import { WorkbenchError, type Calibration, type CalibrationStatus } from '../contract'
import type { Engine } from '../engine/types'
import { readCalibration, thresholdsIn, writeCalibration } from './calibration-store'
import { Emitter } from './emitter'
import type { LogService } from './logs'
import type { ModelService } from './models'
import type { SettingsService } from './settings'
import type { Db } from './storage'

export interface CalibrationRequest {
  // Measures although there is a measurement.
  again?: boolean
  signal?: AbortSignal
}

// The window opens first.
const firstRunDelayMs = 2000, nextTryMs = 20_000

interface Run { result: Promise<Calibration>, abort: AbortController, nAsking: number, phase: 'waiting' | 'measuring', progress: number }

export class CalibrationService {
  readonly onDidChange = new Emitter<CalibrationStatus>()
  private run: Run | undefined
  private firstRun: NodeJS.Timeout | undefined
  private closed = false

  constructor(
    private readonly db: Db, private readonly engine: Engine, private readonly settings: SettingsService,
    private readonly models: ModelService, private readonly log: LogService,
  ) {
    // Another number of threads is another machine.
    let { threads } = settings.value
    settings.onDidChange.on(value => {
      if (value.threads === threads) return
      threads = value.threads
      this.announce()
    })
  }

  // Of this machine with the threads of the settings; undefined before the first measurement.
  get stored(): Calibration | undefined {
    return readCalibration(this.db, this.engine, this.settings.value.threads)
  }

  // Measures a machine that was not measured yet, without anybody asking: gives way to loads and
  // generations, and tries again later.
  measureWhenIdle(delayMs = firstRunDelayMs): void {
    clearTimeout(this.firstRun)
    if (this.closed) return
    this.firstRun = setTimeout(() => {
      if (this.isMeasured) return
      const run = this.current ?? this.start()
      run.result.catch((error: unknown) => {
        if (error instanceof WorkbenchError && error.code === 'E_CANCELLED') this.measureWhenIdle(nextTryMs)
        else this.log.info(`The machine was not measured: ${error instanceof Error ? error.message : String(error)}`)
      })
    }, delayMs).unref()
  }

  status(): CalibrationStatus {
    const calibration = this.stored
    return { phase: this.run?.phase ?? 'idle', progress: this.run?.progress ?? 0, ...(calibration && { calibration }) }
  }

  // Limits without thresholds, or of another version of the engine, are measured again.
  // All who ask meanwhile share one measurement, which is given up when nobody waits for it.
  async get({ again = false, signal }: CalibrationRequest = {}): Promise<Calibration> {
    const stored = this.stored
    if (stored && this.isMeasured && !again) return stored
    const run = this.current ?? this.start()
    run.nAsking++
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        if (--run.nAsking === 0) run.abort.abort()
        reject(new WorkbenchError('E_CANCELLED', 'The measurement was cancelled.'))
      }
      if (signal?.aborted) return leave()
      signal?.addEventListener('abort', leave, { once: true })
      run.result.then(resolve, reject).finally(() => signal?.removeEventListener('abort', leave))
    })
  }

  async close(): Promise<void> {
    this.closed = true
    clearTimeout(this.firstRun)
    this.run?.abort.abort()
    await this.run?.result.catch(() => {})
  }

  private get isMeasured(): boolean {
    const { stored } = this
    return stored !== undefined && thresholdsIn(stored, this.engine) !== undefined
  }

  // One that was given up is nobody's to join.
  private get current(): Run | undefined { return this.run?.abort.signal.aborted ? undefined : this.run }

  private start(): Run {
    const run: Run = { result: Promise.reject(new Error()), abort: new AbortController(), nAsking: 0, phase: 'waiting', progress: 0 }
    run.result.catch(() => {})
    this.run = run
    this.announce()
    const giveWay = (): void => { if (run.nAsking === 0) run.abort.abort() }
    run.result = this.models.alone(() => this.measure(run), run.abort.signal, giveWay).finally(() => {
      if (this.run !== run) return
      this.run = undefined
      this.announce()
    })
    run.result.catch(() => {})
    return run
  }

  private async measure(run: Run): Promise<Calibration> {
    run.phase = 'measuring'
    this.announce()
    const { threads } = this.settings.value
    const measured = await this.engine.calibrate({
      threads, signal: run.abort.signal,
      onProgress: fraction => {
        if (fraction < 1 && fraction - run.progress < 0.05) return
        run.progress = fraction
        this.announce()
      },
    })
    const calibration: Calibration = { ...measured, engineVersion: this.engine.info().version, measuredAt: Date.now() }
    writeCalibration(this.db, this.engine, threads, calibration)
    this.log.info(`Measured the machine in ${Math.round(measured.durationMs)} ms: reads ${(measured.readBytesPerSecond / 1e9).toFixed(1)} GB/s, int8 ${(measured.int8OperationsPerSecond / 1e9).toFixed(0)} GOP/s, ${measured.threads} threads.`)
    return calibration
  }

  private announce(): void { this.onDidChange.emit(this.status()) }
}
