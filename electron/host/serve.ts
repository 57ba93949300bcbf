// `moebius serve`: the workbench for browsers. This process keeps pages and sockets alive; the
// host with the engine is a child of it, so that a native crash costs no window.
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WorkbenchError } from '../contract'
import { parseServeArguments, serveHelp, ServeUsageError } from './serve/arguments'
import { startServe } from './serve/start'

// Resolves with the exit code when the program was asked to end.
export async function runServe(argv: readonly string[]): Promise<number> {
  try {
    const options = parseServeArguments(argv)
    if (options === 'help') {
      process.stdout.write(serveHelp)
      return 0
    }
    const running = await startServe(options, {
      hostModule: builtFile('host-child.js'), rendererRoot: builtFile(join('..', 'renderer')),
      writeOut: text => process.stdout.write(text), writeError: text => process.stderr.write(text),
    })
    if (!running) return 0
    const signal = await new Promise<string>(resolve => { for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, () => resolve(name)) })
    // A second one does not wait for what is still being saved.
    for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => process.exit(130))
    process.stderr.write(`\n${signal}: ending …\n`)
    await running.close()
    return 0
  } catch (error) {
    if (error instanceof ServeUsageError) {
      process.stderr.write(`moebius serve: ${error.message}\n\n${serveHelp}`)
      return 2
    }
    const { message, hint } = error instanceof WorkbenchError ? error : new WorkbenchError('E_INTERNAL', error instanceof Error ? error.stack ?? error.message : String(error))
    process.stderr.write(`moebius serve: ${message}\n${hint === '' ? '' : `${hint}\n`}`)
    return 1
  }
}

// A file of out/main; this code may lie in a chunk one folder below.
function builtFile(name: string): string {
  const folder = dirname(fileURLToPath(import.meta.url))
  const candidates = [join(folder, name), join(folder, '..', name)]
  return candidates.find(path => existsSync(path)) ?? join(folder, name)
}

const started = process.argv[1]
if (started !== undefined && existsSync(started) && realpathSync(started) === fileURLToPath(import.meta.url)) {
  process.exitCode = await runServe(process.argv.slice(2))
}
