// moebius route: which experts each layer chose for the given tokens, with the statistics of
// the choice.
import { writeFile } from 'node:fs/promises'
import { WorkbenchError } from '../../contract'
import type { EngineModel, RouteTrace } from '../../engine/types'
import { layerStatistics, type LayerStatistics } from '../../services/routing-statistics'
import { type Arguments, type CliContext, type Command, exitCodes, loadOptions, UsageError } from './command'
import { formatTable, toJsonLine } from './format'
import { checkFits, readTextArgument, readTokens, withModel } from './model-arguments'

export const routeCommand: Command = {
  name: 'route',
  usage: 'route MODEL (--tokens IDS | --text T | --text-file F) [--out FILE] [--json]',
  summary: 'Show which experts the routers choose, and how evenly.',
  options: [
    { name: 'tokens', value: 'IDS', help: 'Token ids, separated by commas; none is added' },
    { name: 'tokens-file', value: 'FILE', help: 'Read the token ids from a file' },
    { name: 'text', value: 'TEXT', help: 'Text instead of ids; - reads standard input' },
    { name: 'text-file', value: 'FILE', help: 'Read the text from a file' },
    { name: 'out', short: 'o', value: 'FILE', help: 'Write ids, weights and statistics as JSON' },
    ...loadOptions,
  ],
  run: (args, context) => withModel(args, context, async model => {
    const { moe } = model
    if (!moe) throw new WorkbenchError('E_UNSUPPORTED', 'This model has no routers: it is dense.')
    const tokens = await readInput(args, context, model)
    checkFits(model, tokens)
    const session = model.createSession({ maxSeqLen: tokens.length, cacheFormat: 'f32' })
    try {
      const record = routeRecord(model, tokens, await session.route(tokens, context.signal))
      const out = args.text('out')
      if (out !== undefined) await writeFile(out, toJsonLine(record))
      if (args.flag('json') && out === undefined) context.writeOut(toJsonLine(record))
      else if (args.flag('json')) context.writeOut(toJsonLine({ file: out, nTokens: record.nTokens, layers: record.layers.map(({ layer, statistics }) => ({ layer, ...summary(statistics) })) }))
      else context.writeOut(table(record))
    } finally {
      session.close()
    }
    return exitCodes.ok
  }),
}

export interface RouteRecord {
  model: string
  tokens: number[]
  nTokens: number
  nRoutedExperts: number
  nActiveExperts: number
  // ids and weights: [n_tokens][n_active], in the order the router chose them
  layers: { layer: number, ids: number[][], weights: number[][], statistics: LayerStatistics }[]
}

function routeRecord(model: EngineModel, tokens: Int32Array, trace: RouteTrace): RouteRecord {
  const { nRoutedExperts = 0, nActiveExperts = 0 } = model.moe ?? {}
  const rows = (values: ArrayLike<number>): number[][] =>
    Array.from({ length: trace.nTokens }, (_, t) => Array.from({ length: nActiveExperts }, (_, k) => values[t * nActiveExperts + k] ?? 0))
  return {
    model: model.card.name, tokens: [...tokens], nTokens: trace.nTokens, nRoutedExperts, nActiveExperts,
    layers: trace.layers.map(({ layer, ids, weights }) => ({
      layer, ids: rows(ids), weights: rows(weights),
      statistics: layerStatistics({ nTokens: trace.nTokens, nActiveExperts, nRoutedExperts, ids, weights }),
    })),
  }
}

async function readInput(args: Arguments, context: CliContext, model: EngineModel): Promise<Int32Array> {
  const byIds = args.text('tokens') !== undefined || args.text('tokens-file') !== undefined
  const byText = args.text('text') !== undefined || args.text('text-file') !== undefined
  if (byIds === byText) throw new UsageError('give either token ids or a text')
  if (byIds) return readTokens(args, context, model.vocabSize)
  return model.encode(await readTextArgument(args, context, 'text', 'text-file'), { addSpecial: true, parseSpecial: true })
}

function summary({ maxViolation, balancedness, coefficientOfVariation, gini, effectiveExperts, normalizedEntropy, dead, deadRateBound, cold }: LayerStatistics): Record<string, number> {
  return { maxViolation, balancedness, coefficientOfVariation, gini, effectiveExperts, normalizedEntropy, dead: dead.length, deadRateBound, cold: cold.length }
}

const fewTokens = 1000

function table(record: RouteRecord): string {
  const number = (value: number): string => value.toFixed(3)
  const rows = record.layers.map(({ layer, statistics: s }) => [
    String(layer), number(s.maxViolation), number(s.balancedness), number(s.coefficientOfVariation), number(s.gini), s.effectiveExperts.toFixed(1), number(s.normalizedEntropy), String(s.dead.length), String(s.cold.length),
  ])
  const { nTokens, nRoutedExperts, nActiveExperts } = record
  return `${nTokens} tokens, ${nActiveExperts} of ${nRoutedExperts} experts each${nTokens < fewTokens ? ' (few tokens: counts are noisy)' : ''}\n\n`
    + formatTable(['layer', 'MaxVio', 'balance', 'CV', 'Gini', 'effective', 'entropy', 'dead', 'cold'], rows, [0, 1, 2, 3, 4, 5, 6, 7, 8])
    + `\ndead: never chosen; with 95 % confidence their true rate is below ${number(Math.min(1, 3 / nTokens))}. cold: load below 0.1.\n`
}
