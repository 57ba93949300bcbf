// moebius calibrate: what this machine can do at most, the limits that bench compares with, and
// from where on one kernel beats another.
import type { Thresholds } from '../../contract'
import type { MeasuredPeaks } from '../../engine/types'
import { type Command, exitCodes, loadOptions, UsageError } from './command'
import { formatPairs, toJsonLine } from './format'

export const calibrateCommand: Command = {
  name: 'calibrate',
  usage: 'calibrate [-t N] [--json]',
  summary: 'Measure the read bandwidth, the arithmetic peaks and the thresholds of this machine, and keep them for later loads; takes a few seconds.',
  options: loadOptions.filter(({ name }) => name === 'threads').map(option => ({ ...option, short: 't' })),
  async run(args, context) {
    if (args.positionals.length > 0) throw new UsageError(`unexpected argument '${args.positionals[0] ?? ''}'`)
    const threads = args.integer('threads', 1, 1024) ?? 0
    const engine = await context.engine()
    const peaks = await engine.calibrate({ threads, signal: context.signal })
    const problem = context.calibrations.keep(engine, threads, peaks)
    if (problem !== undefined) context.writeError(`The measurement was not kept for later loads: ${problem}\n`)
    context.writeOut(args.flag('json') ? toJsonLine(peaks) : formatPairs(rows(peaks)))
    return exitCodes.ok
  },
}

function rows(peaks: MeasuredPeaks): [string, string][] {
  const giga = (value: number, unit: string): string => `${(value / 1e9).toFixed(1)} ${unit}`
  return [
    ['processor', `${peaks.cpuBrand}, ${peaks.cpuLevel}, ${peaks.threads} threads`],
    ['read bandwidth', giga(peaks.readBytesPerSecond, 'GB/s')],
    ['int8 dot', giga(peaks.int8OperationsPerSecond, 'GOP/s')],
    ['f32 multiply-add', giga(peaks.f32OperationsPerSecond, 'GFLOP/s')],
    ['bf16 dot', peaks.bf16OperationsPerSecond > 0 ? giga(peaks.bf16OperationsPerSecond, 'GFLOP/s') : 'not at this level'],
    ...thresholdRows(peaks.thresholds),
    ['measured in', `${(peaks.durationMs / 1000).toFixed(1)} s`],
  ]
}

function thresholdRows(thresholds: Thresholds | undefined): [string, string][] {
  if (!thresholds) return []
  const { tileColumns, mlaAbsorbedCost, mlaExpandsFrom, mlaHistory } = thresholds
  const steps = [...new Set(Object.values(tileColumns))].sort((a, b) => a - b)
  const formatsFrom = (columns: number): string => Object.keys(tileColumns).filter(format => tileColumns[format] === columns).join(', ')
  const expands = mlaExpandsFrom > 0 ? `from ${mlaExpandsFrom} prompt tokens behind ${mlaHistory}` : `never behind ${mlaHistory} tokens`
  return [
    ...steps.map((columns, i): [string, string] => [i === 0 ? 'prefill tiles' : '', `from ${columns} columns: ${formatsFrom(columns)}`]),
    ['MLA expands keys', `${expands}, an absorbed multiply-add costs ${mlaAbsorbedCost.toFixed(2)}`],
  ]
}
