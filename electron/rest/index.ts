export { createRestServer, type RestServer, type RestServerOptions } from './server'
export type { Dialect, RequestContext, RequestLogEntry, Route } from './dialect'
export { createRestServices, type WorkbenchServices } from './workbench-services'
export type { RestEvent, RestMessage, RestModel, RestRequest, RestSampling, RestServices, RestToken } from './services'
