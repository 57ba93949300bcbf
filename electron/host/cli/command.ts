// What a command is, and what it may use. Commands write through their context only, so that
// tests run them in-process.
import { parseArgs } from 'node:util'
import { WorkbenchError } from '../../contract'
import type { Engine } from '../../engine/types'
import type { Calibrations } from './calibrations'
import { parseSize } from './format'

export interface CliContext {
  engine(): Engine | Promise<Engine>
  // The path of a model's first file. Throws E_MODEL_UNKNOWN with the nearest names.
  resolveModel(name: string): Promise<string>
  // What was measured of this machine before.
  calibrations: Calibrations
  writeOut(data: string | Uint8Array): void
  writeError(text: string): void
  readStdin(): Promise<string>
  // Fires on Ctrl-C.
  signal: AbortSignal
  // Progress lines are for people only.
  interactive: boolean
}

export interface OptionSpec {
  name: string
  short?: string
  // Placeholder of the value; absent: a flag.
  value?: string
  help: string
}

export interface Command {
  name: string
  usage: string
  summary: string
  options: readonly OptionSpec[]
  // Returns the exit code.
  run(args: Arguments, context: CliContext): Promise<number>
}

export const exitCodes = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const

export class UsageError extends Error {}

const commonOptions: readonly OptionSpec[] = [
  { name: 'json', help: 'Write one JSON value to standard output' },
  { name: 'help', short: 'h', help: 'Show this help' },
]

export const loadOptions: readonly OptionSpec[] = [
  { name: 'threads', value: 'N', help: 'Threads of the engine (default: physical cores)' },
  { name: 'exact', help: 'Keep activations in float: slower, bit-reproducible against the reference' },
  { name: 'bf16-attention', help: 'Round the operands of prompt attention to bfloat16: faster with long prompts, approximate' },
  { name: 'expert-memory', value: 'SIZE', help: 'Read the routed experts from the file when they are chosen and keep SIZE of them in memory, such as 8GiB; the answer is the same bit for bit' },
  { name: 'touch', value: 'auto|yes|no', help: 'Read the weights in before the work starts; auto: when they fit into memory (default auto)' },
]

// The values of one command line, fetched with their checks.
export class Arguments {
  constructor(readonly positionals: readonly string[], private readonly values: Readonly<Record<string, string | boolean | undefined>>) {}

  flag(name: string): boolean { return this.values[name] === true }

  text(name: string): string | undefined {
    const value = this.values[name]
    return typeof value === 'string' ? value : undefined
  }

  required(name: string): string {
    const value = this.text(name)
    if (value === undefined) throw new UsageError(`--${name} is missing`)
    return value
  }

  number(name: string, range: { minimum?: number, maximum?: number, integer?: boolean } = {}): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = Number(text)
    const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = range
    if (text.trim() === '' || !Number.isFinite(value) || value < minimum || value > maximum || (range.integer && !Number.isInteger(value))) {
      const bounds = Number.isFinite(maximum) ? ` between ${minimum} and ${maximum}` : Number.isFinite(minimum) ? ` of at least ${minimum}` : ''
      throw new UsageError(`--${name} takes ${range.integer ? 'a whole number' : 'a number'}${bounds}, not '${text}'`)
    }
    return value
  }

  integer(name: string, minimum = 0, maximum = 2 ** 31 - 1): number | undefined {
    return this.number(name, { minimum, maximum, integer: true })
  }

  // Bytes: "8GiB", "500 MB", "1073741824".
  size(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const bytes = parseSize(text)
    if (bytes === undefined) throw new UsageError(`--${name} takes a size such as 8GiB, not '${text}'`)
    return bytes
  }

  choice<T extends string>(name: string, allowed: readonly T[], otherwise: T): T {
    const text = this.text(name)
    if (text === undefined) return otherwise
    const found = allowed.find(value => value === text)
    if (found === undefined) throw new UsageError(`--${name} takes ${allowed.join(', ')}, not '${text}'`)
    return found
  }

  model(): string {
    const [name, extra] = this.positionals
    if (name === undefined) throw new UsageError('MODEL is missing')
    if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
    return name
  }
}

export function parseArguments(command: Command, argv: readonly string[]): Arguments {
  const specs = [...command.options, ...commonOptions]
  const options = Object.fromEntries(specs.map(({ name, short, value }) => [name, { type: value === undefined ? 'boolean' as const : 'string' as const, ...(short !== undefined && { short }) }]))
  try {
    const { values, positionals } = parseArgs({ args: attachNegatives(argv), options, allowPositionals: true, strict: true })
    return new Arguments(positionals, values as Record<string, string | boolean | undefined>)
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split('. ')[0] ?? '') : String(error))
  }
}

// "--seed -1" would be read as two options.
function attachNegatives(argv: readonly string[]): string[] {
  const joined: string[] = []
  for (const argument of argv) {
    const previous = joined.at(-1)
    if (/^-\d/.test(argument) && previous !== undefined && /^--[\w-]+$/.test(previous)) joined[joined.length - 1] = `${previous}=${argument}`
    else joined.push(argument)
  }
  return joined
}

export function helpText(command: Command): string {
  const rows = [...command.options, ...commonOptions].map(option => {
    const value = option.value === undefined ? '' : ` ${option.value}`
    return [`${option.short === undefined ? '    ' : `-${option.short}, `}--${option.name}${value}`, option.help] as const
  })
  const width = Math.max(...rows.map(([left]) => left.length))
  return `${command.summary}\n\nUsage: moebius ${command.usage}\n\n${rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')}\n`
}

export function interrupted(error: unknown): boolean {
  return error instanceof WorkbenchError && error.code === 'E_CANCELLED'
}
