// All services of one host, for those who adapt them: the contract's handlers, REST, the command line.
import type { Engine } from '../engine/types'
import type { CalibrationService } from './calibration'
import type { ChatService } from './chat'
import type { ConversationService } from './conversations'
import type { InferenceService } from './inference'
import type { LogService } from './logs'
import type { ModelLibrary } from './model-library'
import type { ModelService } from './models'
import type { NoticeService } from './notices'
import type { RoutingTraceService } from './routing-traces'
import type { SettingsService } from './settings'
import type { Db } from './storage'
import type { TokenService } from './tokens'

export interface Services {
  version: string
  engine: Engine
  db: Db
  settings: SettingsService
  library: ModelLibrary
  models: ModelService
  calibration: CalibrationService
  inference: InferenceService
  conversations: ConversationService
  chat: ChatService
  routingTraces: RoutingTraceService
  notices: NoticeService
  log: LogService
  tokens: TokenService
}
