// Puts `serve` together: lock, token, front, supervisor.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { spawnHostProcess } from '../child-process-host'
import { acquireLock, readLock, type LockHolder } from '../lock-file'
import { builtInModelName, defaultDataDir, findResource } from '../places'
import { Supervisor, type SupervisorOptions } from '../supervisor'
import { version } from '../version'
import type { ServeArguments } from './arguments'
import { startFront, type Front } from './front'
import { createShell } from './shell'

export interface ServePlaces {
  // The module of the host process.
  hostModule: string
  // The built renderer.
  rendererRoot: string
  writeOut(text: string): void
  writeError(text: string): void
  times?: SupervisorOptions['times']
}

export interface RunningServe {
  readonly front: Front
  readonly supervisor: Supervisor
  readonly address: string
  close(): Promise<void>
}

// Resolves once the window can be opened; undefined when another program serves this data
// folder already and its address was printed instead.
export async function startServe(options: ServeArguments, places: ServePlaces): Promise<RunningServe | undefined> {
  const dataDir = resolve(options.dataDir ?? defaultDataDir())
  mkdirSync(dataDir, { recursive: true })
  const other = otherAddress(dataDir)
  if (other !== undefined) {
    places.writeOut(`Moebius is running at ${other}\n`)
    if (options.open) openBrowser(other)
    return undefined
  }
  const token = options.token ?? randomBytes(24).toString('base64url')
  const shell = createShell([homedir(), ...options.modelsDirs.map(folder => resolve(folder))])
  const front = await startFront({
    host: options.host, port: options.port, token, rendererRoot: places.rendererRoot, version,
    onHostWire: wire => supervisor.connect(wire), onShellWire: wire => shell.accept(wire),
  })
  const tokenPath = join(dataDir, 'serve-token')
  const holder = { pid: process.pid, url: front.url, tokenPath }
  const releaseLock = await locked(dataDir, holder, front)
  writeFileSync(tokenPath, token, { mode: 0o600 })
  const builtInModel = findResource(builtInModelName)
  const supervisor = new Supervisor({
    spawn: () => spawnHostProcess(places.hostModule),
    start: {
      kind: 'serve', dataDir, holder, modelFolders: options.modelsDirs.map(folder => resolve(folder)),
      ...(builtInModel !== undefined && { builtInModel }), ...(options.restPort !== undefined && { restPort: options.restPort }),
      ...(options.expertMemory !== undefined && { expertMemory: options.expertMemory }),
    },
    ...(places.times && { times: places.times }),
    onLog: line => places.writeError(`${line}\n`),
  })
  supervisor.onDidChange.on(state => {
    if (state.kind === 'waiting') places.writeError(`${state.notice.cause} Starting it again.\n`)
    if (state.kind === 'failed') places.writeError(`${state.notice.cause} ${state.notice.advice}\n`)
  })
  supervisor.start()
  const address = `${front.url}/#token=${token}`
  places.writeOut(`Moebius is ready at ${address}\n`)
  if (!front.isLoopback) places.writeError(`It listens on ${options.host}: whoever reaches this machine and has the token can use it. The connection is not encrypted.\n`)
  if (options.open) openBrowser(address)
  return {
    front, supervisor, address,
    async close() {
      await supervisor.stop()
      shell.close()
      await front.close()
      releaseLock()
    },
  }
}

// Taken here and not only by the host, so that it holds while a host is started again.
async function locked(dataDir: string, holder: LockHolder, front: Front): Promise<() => void> {
  try {
    return acquireLock(dataDir, holder)
  } catch (error) {
    await front.close()
    throw error
  }
}

// Of the program that has the data folder; undefined when it has no window for browsers.
function otherAddress(dataDir: string): string | undefined {
  const { url, tokenPath } = readLock(dataDir) ?? {}
  if (url === undefined || tokenPath === undefined) return undefined
  try {
    return `${url}/#token=${readFileSync(tokenPath, 'utf8')}`
  } catch {
    return url
  }
}

function openBrowser(address: string): void {
  const [command, args] = process.platform === 'darwin' ? ['open', [address]] as const
    : process.platform === 'win32' ? ['cmd', ['/c', 'start', '', address]] as const : ['xdg-open', [address]] as const
  // No browser is no reason to end: the address was printed.
  spawn(command, args, { stdio: 'ignore', detached: true }).on('error', () => {}).unref()
}
