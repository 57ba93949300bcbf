// The host as an Electron utility process: what the supervisor needs of it.
import { createInterface } from 'node:readline'
import { type MessagePortMain, utilityProcess } from 'electron'
import type { FromHost, ToHost } from '../host/host-messages'
import type { HostProcess } from '../host/supervisor'

// `modulePath` is the bundled electron/host/utility.ts. Only after the app is ready.
export function spawnUtilityHost(modulePath: string): HostProcess {
  const child = utilityProcess.fork(modulePath, [], { serviceName: 'moebius-host', stdio: 'pipe' })
  return {
    get pid() { return child.pid },
    post: (message: ToHost, port?: unknown) => child.postMessage(message, port === undefined ? [] : [port as MessagePortMain]),
    onMessage: listener => { child.on('message', message => listener(message as FromHost)) },
    onExit: listener => { child.on('exit', code => listener({ code })) },
    onLog: listener => {
      for (const output of [child.stdout, child.stderr]) if (output) createInterface({ input: output }).on('line', listener)
    },
    kill: () => { child.kill() },
  }
}
