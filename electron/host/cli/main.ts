// Finds the command, runs it, and turns every failure into a sentence and an exit code.
import { WorkbenchError } from '../../contract'
import { benchCommand } from './bench'
import { calibrateCommand } from './calibrate'
import { type CliContext, type Command, exitCodes, helpText, interrupted, parseArguments, UsageError } from './command'
import { formatTable, toJsonLine } from './format'
import { infoCommand } from './info'
import { perplexityCommand } from './perplexity'
import { routeCommand } from './route'
import { runCommand } from './run'
import { detokenizeCommand, logitsCommand, tokenizeCommand } from './tokens'
import { verifyCommand } from './verify'

export const commands: readonly Command[] = [
  infoCommand, runCommand, tokenizeCommand, detokenizeCommand, logitsCommand, routeCommand, perplexityCommand, benchCommand, calibrateCommand, verifyCommand,
]

export async function runCli(argv: readonly string[], context: CliContext): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') return showHelp(context, rest[0], name !== undefined)
  const command = commands.find(candidate => candidate.name === name)
  if (!command) {
    context.writeError(`moebius: there is no command '${name}'. Commands: ${commandNames().join(', ')}\n`)
    return exitCodes.usage
  }
  if (rest.includes('--help') || rest.includes('-h')) return showHelp(context, name, true)
  try {
    return await command.run(parseArguments(command, rest), context)
  } catch (error) {
    return reportFailure(command, error, rest.includes('--json'), context)
  }
}

function commandNames(): string[] {
  return [...commands.map(command => command.name), 'serve']
}

function showHelp(context: CliContext, name: string | undefined, wanted: boolean): number {
  const command = commands.find(candidate => candidate.name === name)
  const write = wanted ? context.writeOut : context.writeError
  if (command) write(helpText(command))
  else {
    const rows = [...commands.map(({ name: command, summary }) => [`  ${command}`, summary]), ['  serve', 'Start the workbench for browsers and the REST server.']]
    write(`moebius: run, inspect and measure mixture-of-experts models on this machine\n\nUsage: moebius COMMAND …\n\n${formatTable(['Commands', ''], rows)}\nMODEL is a path to a GGUF file, the id of an indexed model, or moebius-demo-6m, the built-in one.\nmoebius COMMAND --help explains a command. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n`)
  }
  return wanted ? exitCodes.ok : exitCodes.usage
}

function reportFailure(command: Command, error: unknown, json: boolean, context: CliContext): number {
  if (error instanceof UsageError) {
    context.writeError(`moebius ${command.name}: ${error.message}\nUsage: moebius ${command.usage}\n`)
    return exitCodes.usage
  }
  if (interrupted(error)) {
    context.writeError('interrupted\n')
    return exitCodes.interrupted
  }
  const failure = error instanceof WorkbenchError ? error : new WorkbenchError('E_INTERNAL', error instanceof Error ? error.stack ?? error.message : String(error))
  if (json) context.writeOut(toJsonLine({ error: failure.toShape() }))
  context.writeError(`moebius ${command.name}: ${failure.message}\n${failure.hint === '' ? '' : `${failure.hint}\n`}`)
  return exitCodes.failure
}
