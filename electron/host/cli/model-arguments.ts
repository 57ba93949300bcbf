// What several commands share: loading the model, choosing a length, reading tokens and text.
import { readFile } from 'node:fs/promises'
import { WorkbenchError } from '../../contract'
import type { CacheFormat, Engine, EngineModel, LoadOptions, LoadProgress } from '../../engine/types'
import { type Arguments, type CliContext, UsageError } from './command'
import { formatBytes } from './format'

export const cacheFormat: CacheFormat = 'f16'
const longestDefault = 32_768

// Loads the model named on the command line, hands it to the work, and frees it whatever happens.
export async function withModel<T>(args: Arguments, context: CliContext, work: (model: EngineModel, path: string) => Promise<T>, options: Pick<LoadOptions, 'vocabularyOnly'> = {}): Promise<T> {
  const load = { ...loadArguments(args, context), ...options }
  const path = await context.resolveModel(args.model())
  const engine = await context.engine()
  const model = await engine.load(path, withThresholds(load, engine, context))
  try {
    return await work(model, path)
  } finally {
    await model.close()
  }
}

// How the command line wants its model loaded, with a line for people that says how far it is.
export function loadArguments(args: Arguments, context: CliContext): LoadOptions {
  const threads = args.integer('threads', 1, 1024)
  const expertMemory = args.size('expert-memory')
  const touch = args.choice('touch', ['auto', 'yes', 'no'], 'auto')
  return {
    ...(threads !== undefined && { threads }), ...(args.flag('exact') && { exact: true }),
    ...(args.flag('bf16-attention') && { bf16Attention: true }), touch, signal: context.signal,
    ...(expertMemory !== undefined && { expertMemory }),
    onTouchSkipped: reason => {
      if (reason === 'memory') context.writeError('The model is larger than the memory available: its weights are read when they are used (--touch yes reads them in first, --expert-memory streams the experts of a mixture).\n')
    },
    ...(context.interactive && { onProgress: progress => context.writeError(loadLine(progress)) }),
  }
}

// The same load with what was measured of this machine, if it was.
export function withThresholds(load: LoadOptions, engine: Engine, { calibrations }: CliContext): LoadOptions {
  const thresholds = calibrations.thresholds(engine, load.threads ?? 0)
  return { ...load, ...(thresholds && { thresholds }) }
}

// "loading 34 %, 0.9 of 2.6 GiB, 850 MB/s" over the line before; gone at the end.
export function loadLine({ fraction, bytesDone, bytesTotal, bytesPerSecond }: LoadProgress): string {
  if (fraction >= 1) return '\r\u001b[K'
  const speed = bytesPerSecond > 0 ? `, ${Math.round(bytesPerSecond / 1e6)} MB/s` : ''
  return `\rloading ${Math.floor(fraction * 100)} %, ${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}${speed}\u001b[K`
}

// The length asked for, else the model's own as far as memory allows.
export async function chooseMaxSeqLen(args: Arguments, context: CliContext, model: EngineModel, path: string): Promise<number> {
  const wanted = args.integer('max-seq-len', 1) ?? args.integer('ctx', 1)
  const engine = await context.engine()
  const { availableBytes } = engine.memory()
  const need = async (seqLen: number): Promise<number> => {
    const { cacheBytes, scratchBytes } = await engine.estimate(path, seqLen, cacheFormat, args.size('expert-memory'))
    return cacheBytes + scratchBytes
  }
  if (wanted !== undefined) {
    if (wanted > model.card.maxSeqLen) throw new WorkbenchError('E_CONTEXT_LENGTH', `This model takes at most ${model.card.maxSeqLen} tokens, not ${wanted}.`, { hint: `Use --ctx ${model.card.maxSeqLen} or less.` })
    const bytes = await need(wanted)
    if (bytes > availableBytes && !args.flag('force')) {
      throw new WorkbenchError('E_MEMORY', `A length of ${wanted} tokens needs ${bytes} bytes beside the weights; ${availableBytes} are available.`, { hint: 'Use a smaller --ctx, or --force to try anyway.' })
    }
    return wanted
  }
  let seqLen = Math.min(model.card.maxSeqLen, longestDefault)
  while (seqLen > 512 && await need(seqLen) > availableBytes) seqLen = Math.floor(seqLen / 2)
  return seqLen
}

export async function readTextArgument(args: Arguments, context: CliContext, textOption: string, fileOption: string): Promise<string> {
  const text = args.text(textOption)
  const file = args.text(fileOption)
  if (text !== undefined && file !== undefined) throw new UsageError(`--${textOption} and --${fileOption} exclude each other`)
  if (text === '-' || file === '-') return context.readStdin()
  if (text !== undefined) return text
  if (file === undefined) throw new UsageError(`--${textOption} or --${fileOption} is missing`)
  return readUserFile(file)
}

export async function readUserFile(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new WorkbenchError('E_IO', `The file ${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}.`)
  }
}

// --tokens 1,2,3 or --tokens-file with numbers between any separators. No token is added.
export async function readTokens(args: Arguments, context: CliContext, vocabSize: number): Promise<Int32Array> {
  const list = await readTextArgument(args, context, 'tokens', 'tokens-file')
  const words = list.replace(/[[\]]/g, ' ').split(/[\s,;]+/).filter(word => word !== '')
  const tokens = Int32Array.from(words, word => {
    const id = Number(word)
    if (!/^\d+$/.test(word) || id >= vocabSize) throw new UsageError(`'${word}' is no token id of this model (0 to ${vocabSize - 1})`)
    return id
  })
  if (tokens.length === 0) throw new UsageError('the list of tokens is empty')
  return tokens
}

export function checkFits(model: EngineModel, tokens: ArrayLike<number>): void {
  if (tokens.length <= model.card.maxSeqLen) return
  throw new WorkbenchError('E_CONTEXT_LENGTH', `This model takes at most ${model.card.maxSeqLen} tokens, but ${tokens.length} were given.`)
}
