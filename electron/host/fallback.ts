// What windows are connected to while there is no host: it tells why, and starts one on request.
import { contract, WorkbenchError, type Contract, type HostNotice } from '../contract'
import { createServer, type Handlers, type Wire } from '../contract/rpc'
import { version } from './version'

export interface Fallback {
  accept(wire: Wire): void
  close(): void
}

export function createFallback(notices: readonly HostNotice[], restart: () => void): Fallback {
  const last = notices.at(-1)
  const refuse = (): never => {
    throw new WorkbenchError('E_HOST_LOST', `There is no host: ${last?.cause ?? 'it did not start.'}`, { hint: last?.advice ?? '' })
  }
  const refuseAll = (names: object): object => Object.fromEntries(Object.keys(names).map(name => [name, refuse]))
  const handlers = { calls: refuseAll(contract.calls), streams: refuseAll(contract.streams) } as unknown as Handlers<Contract>
  handlers.calls['host.restart'] = () => {
    // After the answer is out: the restart closes this connection.
    setImmediate(restart)
    return {}
  }
  const server = createServer(contract, handlers, { app: `moebius ${version}` })
  server.setState('notices', [...notices])
  return { accept: wire => server.accept(wire, { scopes: ['infer', 'manage', 'train'] }), close: () => server.close() }
}
