// The command line: `moebius COMMAND …`. Commands live in cli/; this file gives them the
// process they run in.
import { join } from 'node:path'
import { processContext } from './cli/context'
import { runCli } from './cli/main'
import { builtInModelName, defaultDataDir, findResource } from './places'

const argv = process.argv.slice(2)

if (argv[0] === 'serve') {
  const { runServe } = await import('./serve')
  process.exitCode = await runServe(argv.slice(1))
} else {
  const controller = new AbortController()
  // The first Ctrl-C stops the work cleanly, the second one ends the program.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort())
  const places = { builtInModel: findResource(builtInModelName) ?? '', database: join(defaultDataDir(), 'moebius.sqlite') }
  process.exitCode = await runCli(argv, processContext(places, controller.signal))
}
