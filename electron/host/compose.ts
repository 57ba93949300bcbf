// The composition root: builds the services of one host over one data folder, binds them to the
// contract, and takes them down again in order.
import { join } from 'node:path'
import { contract, type HostInfo, type HostNotice, type Scope } from '../contract'
import { createServer, type Wire } from '../contract/rpc'
import type { Engine } from '../engine/types'
import { CalibrationService } from '../services/calibration'
import { readCalibration, thresholdsIn } from '../services/calibration-store'
import { ChatService } from '../services/chat'
import { ConversationService } from '../services/conversations'
import { InferenceService } from '../services/inference'
import { LogService } from '../services/logs'
import { ModelLibrary } from '../services/model-library'
import { ModelService } from '../services/models'
import { NoticeService } from '../services/notices'
import { RoutingTraceService } from '../services/routing-traces'
import type { Services } from '../services/services'
import { SettingsService } from '../services/settings'
import { openStorage } from '../services/storage'
import { TokenService } from '../services/tokens'
import { contractHandlers } from './handlers'
import { acquireLock, type LockHolder } from './lock-file'
import { ModelEntries } from './model-entries'
import { RestControl } from './rest-control'
import { version } from './version'

export interface HostOptions {
  kind: HostInfo['hostKind']
  dataDir: string
  // Who holds the data folder; told to a second program that wants it.
  holder: LockHolder
  builtInModel?: string
  notices?: HostNotice[]
  // Folders to index at the start.
  modelFolders?: readonly string[]
  // Starts the REST server whatever the settings say; 0 takes the port of the settings.
  restPort?: number
  // Bytes for the streamed experts of models that the settings do not name.
  expertMemory?: number
}

export interface Host {
  readonly services: Services
  readonly rest: RestControl
  accept(wire: Wire, scopes: readonly Scope[]): void
  // Reads the library and starts what the settings ask for. The host answers before that.
  start(): Promise<void>
  close(): Promise<void>
}

// Throws E_CONFLICT when another program has the data folder, E_VERSION and E_IO from the database.
export function createHost(engine: Engine, options: HostOptions): Host {
  const releaseLock = acquireLock(options.dataDir, options.holder)
  try {
    return compose(engine, options, releaseLock)
  } catch (error) {
    releaseLock()
    throw error
  }
}

function compose(engine: Engine, options: HostOptions, releaseLock: () => void): Host {
  const services = createServices(engine, options)
  const { db, settings, library, models, calibration, conversations, chat, notices, log } = services
  const entries = new ModelEntries(library, models, settings)
  const rest = new RestControl(services)
  const startedAt = Date.now()
  const info = (): HostInfo => ({
    version, hostKind: options.kind, platform: process.platform, nodeVersion: process.version, pid: process.pid, dataDir: options.dataDir, startedAt,
  })
  const server = createServer(contract, contractHandlers({ services, entries, rest, info }), {
    app: `moebius ${version}`,
    onDefect: (error, where) => log.error(`${where}: ${error instanceof Error ? error.stack ?? error.message : String(error)}`),
  })

  const publishModels = inTurn(async () => server.setState('models', { models: await entries.all() }), log)
  const publishStatus = (): void => server.setState('engine.status', models.status())
  models.onDidChange.on(status => server.setState('engine.status', status))
  calibration.onDidChange.on(status => server.setState('engine.calibration', status))
  library.onDidChange.on(() => void publishModels())
  let { modelFolders } = settings.value
  settings.onDidChange.on(value => {
    server.setState('settings', value)
    const added = value.modelFolders.filter(folder => !modelFolders.includes(folder))
    modelFolders = value.modelFolders
    if (added.length > 0) void library.import(added)
    void publishModels()
    void rest.applySettings().catch((error: unknown) => log.error(`REST: ${String(error)}`))
  })
  rest.onDidChange.on(status => server.setState('server.status', status))
  conversations.onDidChange.on(list => server.setState('conversations', list))
  notices.onDidChange.on(list => server.setState('notices', list))
  publishStatus()
  server.setState('engine.calibration', calibration.status())
  server.setState('settings', settings.value)
  server.setState('server.status', rest.status())
  server.setState('conversations', conversations.list())
  server.setState('notices', notices.value)

  return {
    services, rest,
    accept: (wire, scopes) => server.accept(wire, { scopes }),
    async start() {
      if (options.builtInModel !== undefined) await library.addBuiltIn(options.builtInModel)
      await publishModels()
      const folders = [...settings.value.modelFolders, ...options.modelFolders ?? []]
      if (folders.length > 0) await library.import(folders)
      await library.rescan()
      const { serverEnabled } = settings.value
      if (!serverEnabled && options.restPort === undefined) return
      await rest.start(options.restPort || undefined, serverEnabled).catch((error: unknown) => log.error(`The REST server did not start: ${error instanceof Error ? error.message : String(error)}`))
    },
    async close() {
      await chat.close()
      await rest.close()
      server.close()
      await calibration.close()
      await models.close()
      db.close()
      releaseLock()
    },
  }
}

function createServices(engine: Engine, { dataDir, notices: earlier = [], expertMemory }: HostOptions): Services {
  const db = openStorage(join(dataDir, 'moebius.sqlite'))
  const log = new LogService()
  const settings = new SettingsService(db)
  const library = new ModelLibrary(db, engine, log)
  const models = new ModelService(engine, library, settings, log, expertMemory, () => thresholdsIn(readCalibration(db, engine, settings.value.threads), engine))
  const calibration = new CalibrationService(db, engine, settings, models, log)
  const inference = new InferenceService(models)
  const conversations = new ConversationService(db, settings)
  const chat = new ChatService(conversations, inference, library, log)
  const routingTraces = new RoutingTraceService(models)
  return { version, engine, db, settings, library, models, calibration, inference, conversations, chat, routingTraces, notices: new NoticeService(earlier), log, tokens: new TokenService(db) }
}

// Runs one after the other; requests during a run make one more.
function inTurn(work: () => Promise<void>, log: LogService): () => Promise<void> {
  let running: Promise<void> | undefined
  let again = false
  const run = async (): Promise<void> => {
    do {
      again = false
      await work().catch((error: unknown) => log.error(String(error)))
    } while (again)
    running = undefined
  }
  return () => {
    again = running !== undefined
    return running ??= run()
  }
}
