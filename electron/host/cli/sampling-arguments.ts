// The sampler's settings on the command line. Names and ranges follow the common tools.
import { randomInt } from 'node:crypto'
import { WorkbenchError } from '../../contract'
import type { Sampling } from '../../engine/types'
import { type Arguments, type OptionSpec, UsageError } from './command'
import { readUserFile } from './model-arguments'

export const samplingOptions: readonly OptionSpec[] = [
  { name: 'temp', value: 'T', help: 'Temperature; 0 takes the likeliest token (default 0.8)' },
  { name: 'top-k', value: 'K', help: 'Sample among the K likeliest tokens; 0 is off (default 40)' },
  { name: 'top-p', value: 'P', help: 'Sample among the tokens that make up P; 1 is off (default 0.95)' },
  { name: 'min-p', value: 'P', help: 'Leave out tokens below P times the likeliest; 0 is off (default 0.05)' },
  { name: 'typical', value: 'P', help: 'Keep tokens of typical surprise that make up P; 1 is off (default 1)' },
  { name: 'top-n-sigma', value: 'N', help: 'Keep logits within N standard deviations of the largest; 0 is off (default 0)' },
  { name: 'xtc-probability', value: 'P', help: 'Chance to leave out the likeliest tokens; 0 is off (default 0)' },
  { name: 'xtc-threshold', value: 'P', help: 'What XTC counts as likely (default 0.1)' },
  { name: 'repeat-penalty', value: 'R', help: 'Penalty of repeated tokens; 1 is off (default 1)' },
  { name: 'repeat-last-n', value: 'N', help: 'Tokens the three penalties look back; -1 is all (default 64)' },
  { name: 'frequency-penalty', value: 'F', help: 'Lower a logit by F per occurrence (default 0)' },
  { name: 'presence-penalty', value: 'F', help: 'Lower a logit by F once it occurred (default 0)' },
  { name: 'dry-multiplier', value: 'M', help: 'Penalty of tokens that would extend a repeat; 0 is off (default 0)' },
  { name: 'dry-base', value: 'B', help: 'Growth of that penalty per token of the repeat (default 1.75)' },
  { name: 'dry-allowed-length', value: 'N', help: 'Repeats shorter than N are free (default 2)' },
  { name: 'dry-penalty-last-n', value: 'N', help: 'Tokens DRY looks back; -1 is all (default -1)' },
  { name: 'mirostat', help: 'Mirostat v2 in place of the truncating stages' },
  { name: 'mirostat-tau', value: 'T', help: 'Surprise that mirostat aims at, in bits (default 5)' },
  { name: 'mirostat-eta', value: 'E', help: 'Learning rate of mirostat (default 0.1)' },
  { name: 'logit-bias', value: 'LIST', help: 'ID+BIAS or ID-BIAS, separated by commas; ID-inf bans a token' },
  { name: 'samplers', value: 'LIST', help: 'Stages in their order, separated by commas; others do not run' },
  { name: 'seed', value: 'S', help: 'Seed of the sampler; -1 takes a new one (default -1)' },
  { name: 'grammar-file', value: 'FILE', help: 'Constrain the output with a GBNF grammar' },
  { name: 'json-schema-file', value: 'FILE', help: 'Constrain the output to JSON of this schema' },
  { name: 'logprobs', value: 'N', help: 'Report the N likeliest tokens of every step (with --json)' },
]

export async function readSampling(args: Arguments): Promise<Sampling> {
  return { ...readTruncation(args), ...readPenalties(args), ...readChoice(args), ...await readConstraint(args) }
}

// Only what was given: the engine knows the rest.
function given<K extends string, V>(name: K, value: V | undefined): { [key in K]?: V } {
  return value === undefined ? {} : { [name]: value } as { [key in K]?: V }
}

type Truncation = Pick<Sampling, 'temperature' | 'samplingTopK' | 'topP' | 'minP' | 'typicalP' | 'topNSigma' | 'xtc' | 'mirostat'>

function readTruncation(args: Arguments): Truncation {
  const share = { minimum: 0, maximum: 1 }
  const xtcProbability = args.number('xtc-probability', share) ?? 0
  const xtcThreshold = args.number('xtc-threshold', share) ?? 0.1
  const tau = args.number('mirostat-tau', { minimum: 0 })
  const eta = args.number('mirostat-eta', { minimum: 0 })
  if (!args.flag('mirostat') && (tau ?? eta) !== undefined) throw new UsageError('--mirostat-tau and --mirostat-eta need --mirostat')
  return {
    temperature: args.number('temp', { minimum: 0, maximum: 10 }) ?? 0.8,
    samplingTopK: args.integer('top-k') ?? 40,
    topP: args.number('top-p', share) ?? 0.95,
    minP: args.number('min-p', share) ?? 0.05,
    ...given('typicalP', args.number('typical', share)),
    ...given('topNSigma', args.number('top-n-sigma', { minimum: 0 })),
    ...(xtcProbability > 0 && { xtc: { probability: xtcProbability, threshold: xtcThreshold } }),
    ...(args.flag('mirostat') && { mirostat: { tau: tau ?? 5, eta: eta ?? 0.1 } }),
  }
}

type Penalties = Pick<Sampling, 'repeatPenalty' | 'repeatLastN' | 'frequencyPenalty' | 'presencePenalty' | 'dry'>

function readPenalties(args: Arguments): Penalties {
  const either = { minimum: -100, maximum: 100 }
  const multiplier = args.number('dry-multiplier', { minimum: 0 }) ?? 0
  const base = args.number('dry-base', { minimum: 0 }) ?? 1.75
  const allowedLength = args.integer('dry-allowed-length') ?? 2
  const lastN = args.integer('dry-penalty-last-n', -1) ?? -1
  return {
    repeatPenalty: args.number('repeat-penalty', { minimum: 0, maximum: 10 }) ?? 1,
    ...given('repeatLastN', args.integer('repeat-last-n', -1)),
    ...given('frequencyPenalty', args.number('frequency-penalty', either)),
    ...given('presencePenalty', args.number('presence-penalty', either)),
    ...(multiplier > 0 && { dry: { multiplier, base, allowedLength, lastN } }),
  }
}

function readChoice(args: Arguments): Pick<Sampling, 'seed' | 'logitBias' | 'order' | 'nProbs'> {
  const seed = args.integer('seed', -1, 2 ** 32 - 1) ?? -1
  const bias = args.text('logit-bias')
  const nProbs = args.integer('logprobs', 0, 1000)
  if (nProbs !== undefined && !args.flag('json')) throw new UsageError('--logprobs needs --json')
  return {
    seed: seed === -1 ? randomInt(2 ** 32) : seed,
    ...(bias !== undefined && { logitBias: list(bias).map(readBias) }),
    ...given('order', args.text('samplers') === undefined ? undefined : list(args.required('samplers'))),
    ...given('nProbs', nProbs),
  }
}

function list(text: string): string[] {
  return text.split(/[,;\s]+/).filter(item => item !== '')
}

function readBias(text: string): { token: number, bias: number } {
  const [, token = '', sign = '', size = ''] = /^(\d+)([+-])(inf|\d+(?:\.\d+)?|\.\d+)$/.exec(text) ?? []
  if (token === '' || (size === 'inf' && sign === '+')) throw new UsageError(`--logit-bias takes ID+BIAS or ID-BIAS, not '${text}'`)
  const bias = size === 'inf' ? Number.POSITIVE_INFINITY : Number(size)
  return { token: Number(token), bias: sign === '-' ? -bias : bias }
}

async function readConstraint(args: Arguments): Promise<Pick<Sampling, 'grammar' | 'jsonSchema'>> {
  const [grammar, schema] = [args.text('grammar-file'), args.text('json-schema-file')]
  if (grammar !== undefined && schema !== undefined) throw new UsageError('--grammar-file and --json-schema-file exclude each other')
  if (grammar !== undefined) return { grammar: await readUserFile(grammar) }
  if (schema === undefined) return {}
  const jsonSchema = await readUserFile(schema)
  try {
    JSON.parse(jsonSchema)
  } catch (error) {
    throw new WorkbenchError('E_GRAMMAR', `The file ${schema} is no JSON: ${error instanceof Error ? error.message : String(error)}.`)
  }
  return { jsonSchema }
}
