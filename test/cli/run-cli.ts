// Runs a command line in this process and collects what it wrote.
import type { Engine } from '../../electron/engine/types'
import { calibrationsIn } from '../../electron/host/cli/calibrations'
import type { CliContext } from '../../electron/host/cli/command'
import { findModel, type ModelPlaces } from '../../electron/host/cli/find-model'
import { runCli } from '../../electron/host/cli/main'

export interface CliResult { code: number, out: string, error: string }

export async function cli(engine: Engine, argv: readonly string[], options: { stdin?: string, places?: ModelPlaces, signal?: AbortSignal, interactive?: boolean } = {}): Promise<CliResult> {
  const result: CliResult = { code: -1, out: '', error: '' }
  const context: CliContext = {
    engine: () => engine,
    calibrations: options.places ? calibrationsIn(options.places.database) : { thresholds: () => undefined, keep: () => undefined },
    resolveModel: name => new Promise(resolve => resolve(options.places ? findModel(name, options.places) : name)),
    writeOut: data => { result.out += typeof data === 'string' ? data : Buffer.from(data).toString() },
    writeError: text => { result.error += text },
    readStdin: () => Promise.resolve(options.stdin ?? ''),
    signal: options.signal ?? new AbortController().signal,
    interactive: options.interactive ?? false,
  }
  result.code = await runCli(argv, context)
  return result
}

export function json(result: CliResult): unknown {
  return JSON.parse(result.out)
}
