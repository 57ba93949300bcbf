// Starts and stops the REST server on behalf of the window, and remembers the switch.
import type { ServerStatus } from '../contract'
import { createRestServer, createRestServices, type RestServer } from '../rest'
import { Emitter } from '../services/emitter'
import type { Services } from '../services/services'

export class RestControl {
  readonly onDidChange = new Emitter<ServerStatus>()
  private server: RestServer | undefined

  constructor(private readonly services: Services) {}

  status(): ServerStatus {
    const { serverPort, serverRequireToken } = this.services.settings.value
    return this.server?.status() ?? { state: 'stopped', host: '127.0.0.1', port: serverPort, urls: [], requireToken: serverRequireToken, requests: 0, activeRequests: 0 }
  }

  // A running server on the wanted port is left as it is. Throws E_CONFLICT when the port is taken.
  // `remember`: the next start of the program starts the server too.
  async start(port = this.services.settings.value.serverPort, remember = true): Promise<ServerStatus> {
    const running = this.server?.status()
    if (running?.state === 'running' && running.port === port) return running
    await this.server?.stop()
    const { settings, log, version } = this.services
    this.server = createRestServer(createRestServices(this.services), {
      port, requireToken: settings.value.serverRequireToken, version,
      onRequest: ({ method, route, status, model, promptTokens, generatedTokens, durationMs, tokenName }) =>
        log.info(`REST ${method} ${route} ${status} ${model} ${promptTokens}+${generatedTokens} tokens, ${Math.round(durationMs)} ms ${tokenName}`.trimEnd()),
      onError: error => log.error(`REST: ${error instanceof Error ? error.stack ?? error.message : String(error)}`),
      onStatus: status => this.onDidChange.emit(status),
    })
    const status = await this.server.start()
    if (remember && !settings.value.serverEnabled) settings.update({ serverEnabled: true })
    log.info(`REST server at ${status.urls.join(', ')}.`)
    return status
  }

  async stop(): Promise<ServerStatus> {
    await this.server?.stop()
    this.services.settings.update({ serverEnabled: false })
    return this.status()
  }

  // A changed rule about tokens must not wait for the next start.
  async applySettings(): Promise<void> {
    const status = this.server?.status()
    if (status?.state !== 'running' || status.requireToken === this.services.settings.value.serverRequireToken) return
    await this.server?.stop()
    await this.start(status.port, this.services.settings.value.serverEnabled)
  }

  async close(): Promise<void> { await this.server?.stop() }
}
