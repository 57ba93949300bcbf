// moebius bench: llama-bench's tests, options and fields on our engine.
import { type BenchmarkRecord, comparisonText, limitText, runBenchmark, testName } from '../../services/benchmark'
import type { CacheFormat } from '../../engine/types'
import { type Arguments, type CliContext, type Command, exitCodes, loadOptions, UsageError } from './command'
import { loadArguments } from './model-arguments'

const outputs = ['md', 'json', 'csv'] as const
const mostSessions = 256
const cacheFormats: readonly CacheFormat[] = ['f32', 'f16', 'bf16', 'q8_0']

export const benchCommand: Command = {
  name: 'bench',
  usage: 'bench MODEL [-p 512] [-n 128] [-d 0] [-r 5] [-t N] [--sessions 2,4,8 | --trace] [-o md|json|csv]',
  summary: 'Measure prompt processing (pp) and token generation (tg) in tokens per second.',
  options: [
    { name: 'n-prompt', short: 'p', value: 'LIST', help: 'Prompt lengths, comma separated; 0 leaves the test out (default 512)' },
    { name: 'n-gen', short: 'n', value: 'LIST', help: 'Numbers of generated tokens (default 128)' },
    { name: 'n-depth', short: 'd', value: 'LIST', help: 'Tokens in the cache before each test (default 0)' },
    { name: 'repetitions', short: 'r', value: 'N', help: 'Timed repetitions of each test (default 5; 20 with --trace)' },
    { name: 'sessions', value: 'LIST', help: 'Generate with so many sessions in one batch as well, in turn with one: tg32x8' },
    { name: 'trace', help: 'Run each test with and without the routing trace in turn: what the trace costs' },
    { name: 'output', short: 'o', value: 'FORM', help: 'md, json or csv (default md)' },
    { name: 'cache-format', value: 'FORM', help: 'f32, f16, bf16 or q8_0 (default f16)' },
    ...loadOptions.map(option => option.name === 'threads' ? { ...option, short: 't' } : option),
  ],
  run: async (args, context) => {
    const form = args.flag('json') ? 'json' : args.choice('output', outputs, 'md')
    const trace = args.flag('trace')
    const sessions = numbers(args, 'sessions', [])
    if (trace && sessions.length > 0) throw new UsageError('--sessions and --trace exclude each other')
    if (sessions.some(n => n < 1 || n > mostSessions)) throw new UsageError(`--sessions takes numbers from 1 to ${mostSessions}`)
    const path = await context.resolveModel(args.model())
    const records = await runBenchmark(await context.engine(), {
      path, nPrompt: numbers(args, 'n-prompt', [512]), nGenerate: numbers(args, 'n-gen', [128]), depths: numbers(args, 'n-depth', [0]),
      repetitions: args.integer('repetitions', 1, 1000) ?? (trace ? 20 : 5), sessions, trace,
      cacheFormat: args.choice('cache-format', cacheFormats, 'f16'), load: loadArguments(args, context),
      ...(context.interactive && { onRecord: (record: BenchmarkRecord) => context.writeError(`${[`${testName(record)}: ${record.avg_ts.toFixed(2)} t/s`, limitText(record), comparisonText(record)].filter(Boolean).join(', ')}\n`) }),
    })
    write(records, form, context)
    return exitCodes.ok
  },
}

function numbers(args: Arguments, name: string, otherwise: number[]): number[] {
  const text = args.text(name)
  if (text === undefined) return otherwise
  const values = text.split(',').map(word => Number(word))
  if (!values.every(value => Number.isInteger(value) && value >= 0 && value <= 1_000_000)) throw new UsageError(`--${name} takes whole numbers separated by commas, not '${text}'`)
  return values
}

function write(records: readonly BenchmarkRecord[], form: typeof outputs[number], context: CliContext): void {
  if (form === 'json') return context.writeOut(`${JSON.stringify(records, undefined, 2)}\n`)
  if (form === 'csv') return context.writeOut(csv(records))
  const compared = records.some(record => comparisonText(record) !== '')
  const rows = records.map(record => [
    record.model_type, `${(record.model_size / 2 ** 30).toFixed(2)} GiB`, record.backends, String(record.n_threads), testName(record), `${record.avg_ts.toFixed(2)} ± ${record.stddev_ts.toFixed(2)}`, limitText(record),
    ...(compared ? [comparisonText(record)] : []),
  ])
  const header = ['model', 'size', 'backend', 'threads', 'test', 't/s', 'of the measured limit', ...(compared ? ['measured in turn (median, 95 %)'] : [])]
  context.writeOut([header, header.map(() => '---'), ...rows].map(row => `| ${row.join(' | ')} |`).join('\n') + '\n')
}

// Every field but the sample lists, quoted as llama-bench does.
function csv(records: readonly BenchmarkRecord[]): string {
  const columns = [...new Set(records.flatMap(record => Object.keys(record)))].filter(name => !name.startsWith('samples_')) as (keyof BenchmarkRecord)[]
  const quote = (value: unknown): string => `"${String(value ?? '').replaceAll('"', '""')}"`
  return [columns.join(','), ...records.map(record => columns.map(name => quote(record[name])).join(','))].join('\n') + '\n'
}
