// A folder of its own and services over the fake engine, taken down after each test.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { CalibrationService } from '../../electron/services/calibration'
import { readCalibration, thresholdsIn } from '../../electron/services/calibration-store'
import { ChatService } from '../../electron/services/chat'
import { ConversationService } from '../../electron/services/conversations'
import { InferenceService } from '../../electron/services/inference'
import { LogService } from '../../electron/services/logs'
import { ModelLibrary } from '../../electron/services/model-library'
import { ModelService } from '../../electron/services/models'
import { RoutingTraceService } from '../../electron/services/routing-traces'
import { SettingsService } from '../../electron/services/settings'
import { openStorage, type Db } from '../../electron/services/storage'
import { FakeEngine, type FakeEngineOptions } from '../tools/fake-engine'

const cleanUp: (() => void)[] = []
afterEach(() => { for (const act of cleanUp.splice(0).reverse()) act() })

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-test-'))
  cleanUp.push(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function fakeModelFile(folder: string, name = 'tiny.gguf'): string {
  const path = join(folder, name)
  writeFileSync(path, 'GGUF and so on')
  return path
}

export interface Workplace {
  folder: string
  engine: FakeEngine
  db: Db
  log: LogService
  settings: SettingsService
  library: ModelLibrary
  models: ModelService
  calibration: CalibrationService
  inference: InferenceService
  conversations: ConversationService
  chat: ChatService
  routingTraces: RoutingTraceService
}

export function openWorkplace(options: FakeEngineOptions = {}, folder = temporaryFolder()): Workplace {
  const engine = new FakeEngine(options)
  const db = openStorage(join(folder, 'moebius.sqlite'))
  cleanUp.push(() => db.close())
  const log = new LogService()
  const settings = new SettingsService(db)
  const library = new ModelLibrary(db, engine, log)
  const models = new ModelService(engine, library, settings, log, 0, () => thresholdsIn(readCalibration(db, engine, settings.value.threads), engine))
  const calibration = new CalibrationService(db, engine, settings, models, log)
  const inference = new InferenceService(models)
  const conversations = new ConversationService(db, settings)
  const chat = new ChatService(conversations, inference, library, log)
  return { folder, engine, db, log, settings, library, models, calibration, inference, conversations, chat, routingTraces: new RoutingTraceService(models) }
}

// With one model 'tiny' on the list.
export async function openWithModel(options: FakeEngineOptions = {}): Promise<Workplace> {
  const workplace = openWorkplace(options)
  await workplace.library.import([fakeModelFile(workplace.folder)])
  return workplace
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 5000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within 5 s: ${what}`)
    await new Promise(resolve => { setTimeout(resolve, 2) })
  }
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(() => 'no error', (error: { code?: string }) => error.code ?? String(error))
}
