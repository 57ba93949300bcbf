export { createRestServer, type RestServer, type RestServerOptions } from './server'
export type { Dialect, RequestContext, RequestLogEntry, Route } from './dialect'
export { createRestServices, type WorkbenchServices } from './workbench-services'
export type { RestChatEvent, RestChatRequest, RestMessage, RestModel, RestSampling, RestServices, RestToken } from './services'
