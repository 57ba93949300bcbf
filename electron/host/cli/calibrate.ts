// moebius calibrate: what this machine can do at most, the limits that bench compares with.
import type { MeasuredPeaks } from '../../engine/types'
import { type Command, exitCodes, loadOptions, UsageError } from './command'
import { formatPairs, toJsonLine } from './format'

export const calibrateCommand: Command = {
  name: 'calibrate',
  usage: 'calibrate [-t N] [--json]',
  summary: 'Measure the read bandwidth and the arithmetic peaks of this machine; takes a few seconds.',
  options: loadOptions.filter(({ name }) => name === 'threads').map(option => ({ ...option, short: 't' })),
  async run(args, context) {
    if (args.positionals.length > 0) throw new UsageError(`unexpected argument '${args.positionals[0] ?? ''}'`)
    const peaks = await (await context.engine()).calibrate({ threads: args.integer('threads', 1, 1024) ?? 0, signal: context.signal })
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
    ['measured in', `${(peaks.durationMs / 1000).toFixed(1)} s`],
  ]
}
