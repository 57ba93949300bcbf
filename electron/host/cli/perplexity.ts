// moebius perplexity: how well a model predicts a text, and how far it is from a base, stored or live.
import { open, type FileHandle } from 'node:fs/promises'
import { WorkbenchError } from '../../contract'
import type { EngineModel } from '../../engine/types'
import {
  baseHeaderFixedBytes, baseRowWords, decodeBaseHeader, decodeBaseRow, Divergence, type DivergenceSummary, encodeBaseHeader, encodeBaseRow, firstScored, logProbabilities, negativeLogLikelihood, RunningMean, scoredPerChunk, storedFloor,
} from '../../services/perplexity'
import { type Arguments, type CliContext, type Command, exitCodes, loadOptions, UsageError } from './command'
import { formatPairs, toJsonLine } from './format'
import { loadArguments, readTextArgument, withModel, withThresholds } from './model-arguments'

const defaultWindow = 512

export const perplexityCommand: Command = {
  name: 'perplexity',
  usage: 'perplexity MODEL (-f TEXT [--base MODEL] | --kld FILE) [--ctx N] [--chunks N] [--save-logits FILE] [--json]',
  summary: 'Measure perplexity over windows of a text; with --base the divergence from another model, with --kld from stored log-probabilities.',
  options: [
    { name: 'file', short: 'f', value: 'FILE', help: 'The text; - reads standard input' },
    { name: 'ctx', value: 'N', help: `Window length in tokens (default ${defaultWindow})` },
    { name: 'chunks', value: 'N', help: 'Use only the first N windows' },
    { name: 'base', value: 'MODEL', help: 'Compare with this model, both running side by side: nothing is rounded, a model differs from itself by 0' },
    { name: 'base-exact', help: 'Keep the activations of that model in float, whatever --exact says of the other; --bf16-attention never applies to it' },
    { name: 'save-logits', value: 'FILE', help: 'Store log-probabilities as the base of later --kld runs (llama.cpp\'s format)' },
    { name: 'kld', value: 'FILE', help: 'Compare with stored log-probabilities; text and window come from that file' },
    ...loadOptions,
  ],
  run: (args, context) => withModel(args, context, async model => {
    const stored = args.text('kld')
    const base = args.text('base')
    const given = (name: string): boolean => args.text(name) !== undefined
    if (stored !== undefined && ['save-logits', 'file', 'base'].some(given)) throw new UsageError('--kld takes its text from the stored file: leave out --file, --base and --save-logits')
    if (base !== undefined && given('save-logits')) throw new UsageError('--base and --save-logits exclude each other')
    if (base === undefined && args.flag('base-exact')) throw new UsageError('--base-exact needs --base')
    const result = stored !== undefined ? await compareStored(args, context, model, stored) : base !== undefined ? await compareLive(args, context, model, base) : await measure(args, context, model)
    context.writeOut(args.flag('json') ? toJsonLine(result.json) : result.text)
    return exitCodes.ok
  }),
}

interface Report { json: unknown, text: string }
interface Windows { tokens: Int32Array, maxSeqLen: number, nChunks: number }

async function measure(args: Arguments, context: CliContext, model: EngineModel): Promise<Report> {
  const windows = await cutWindows(args, context, model)
  const file = args.text('save-logits')
  const handle = file === undefined ? undefined : await openFile(file, 'w')
  const nll = new RunningMean()
  try {
    const { maxSeqLen, nChunks } = windows
    await handle?.write(encodeBaseHeader({ maxSeqLen, nChunks, vocabSize: model.vocabSize, tokens: windows.tokens.subarray(0, nChunks * maxSeqLen) }))
    const words = new Uint16Array(baseRowWords(model.vocabSize))
    await scoreWindows(context, model, windows, async (row, token) => {
      nll.add(negativeLogLikelihood(row, token))
      if (!handle) return
      encodeBaseRow(row, words)
      await handle.write(new Uint8Array(words.buffer))
    }, () => Math.exp(nll.mean))
    const perplexity = Math.exp(nll.mean)
    const error = nll.error * perplexity
    return {
      json: { perplexity, error, negativeLogLikelihood: nll.mean, scoredTokens: nll.count, chunks: nChunks, maxSeqLen, ...(file !== undefined && { logitsFile: file }) },
      text: `PPL = ${perplexity.toFixed(4)} +/- ${error.toFixed(5)}  (${nll.count} scored tokens, ${nChunks} windows of ${maxSeqLen})\n`,
    }
  } finally {
    await handle?.close()
  }
}

async function compareStored(args: Arguments, context: CliContext, model: EngineModel, file: string): Promise<Report> {
  const handle = await openFile(file, 'r')
  try {
    const { size } = await handle.stat()
    const header = decodeBaseHeader(await readBytes(handle, Math.min(size, baseHeaderFixedBytes), 0), size)
    if (header.vocabSize !== model.vocabSize) throw new WorkbenchError('E_BAD_REQUEST', `The stored base has ${header.vocabSize} words, this model ${model.vocabSize}: they cannot be compared.`)
    const { maxSeqLen } = header
    const tokenBytes = await readBytes(handle, header.nChunks * maxSeqLen * 4, baseHeaderFixedBytes)
    const tokens = new Int32Array(tokenBytes.buffer, 0, header.nChunks * maxSeqLen)
    if (tokens.some(token => token < 0 || token >= model.vocabSize)) throw new WorkbenchError('E_BAD_REQUEST', 'The stored base holds token ids outside the vocabulary: it is damaged.')
    const windows = { tokens, maxSeqLen, nChunks: Math.min(args.integer('chunks', 1) ?? header.nChunks, header.nChunks) }
    checkWindow(model, maxSeqLen)
    const rowBytes = baseRowWords(model.vocabSize) * 2
    let at = baseHeaderFixedBytes + tokenBytes.length
    const divergence = new Divergence()
    const logs = new Float64Array(model.vocabSize)
    await scoreWindows(context, model, windows, async (row, token) => {
      const bytes = await readBytes(handle, rowBytes, at)
      at += rowBytes
      decodeBaseRow(new Uint16Array(bytes.buffer, 0, rowBytes / 2), logs)
      divergence.add(row, logs, token, storedFloor)
    }, () => divergence.summary().divergence.mean)
    const summary = divergence.summary()
    return { json: { ...summary, chunks: windows.nChunks, maxSeqLen }, text: divergenceText(summary) }
  } finally {
    await handle.close()
  }
}

// Both models run each window; the base's logits never leave memory.
async function compareLive(args: Arguments, context: CliContext, model: EngineModel, name: string): Promise<Report> {
  const windows = await cutWindows(args, context, model, 2)
  const { maxSeqLen, nChunks } = windows
  const engine = await context.engine()
  const base = await engine.load(await context.resolveModel(name), withThresholds({ ...loadArguments(args, context), bf16Attention: false, ...(args.flag('base-exact') && { exact: true }) }, engine, context))
  try {
    checkSameVocabulary(model, base, windows)
    checkWindow(base, maxSeqLen, 2)
    const divergence = new Divergence()
    const logs = new Float64Array(model.vocabSize)
    const rows = windowRows(context, base, windows)
    try {
      await scoreWindows(context, model, windows, async (row, token) => {
        const { value } = await rows.next()
        if (!value) throw new WorkbenchError('E_INTERNAL', 'The base ended before the model.')
        logProbabilities(value.row, logs)
        divergence.add(row, logs, token)
      }, () => divergence.summary().divergence.mean)
    } finally {
      await rows.return(undefined)
    }
    const summary = divergence.summary()
    return { json: { ...summary, chunks: nChunks, maxSeqLen }, text: divergenceText(summary) }
  } finally {
    await base.close()
  }
}

function checkSameVocabulary(model: EngineModel, base: EngineModel, { tokens }: Windows): void {
  const hint = 'Compare builds of one model.'
  if (base.vocabSize !== model.vocabSize) throw new WorkbenchError('E_BAD_REQUEST', `The base has ${base.vocabSize} words, this model ${model.vocabSize}: they cannot be compared.`, { hint })
  const text = (each: EngineModel): string => each.decode(tokens, { keepSpecial: true })
  if (text(base) !== text(model) || beginToken(base) !== beginToken(model)) throw new WorkbenchError('E_BAD_REQUEST', 'The two models read this text as different tokens: they cannot be compared.', { hint })
}

async function cutWindows(args: Arguments, context: CliContext, model: EngineModel, nModels = 1): Promise<Windows> {
  const text = await readTextArgument(args, context, 'text', 'file')
  const maxSeqLen = args.integer('ctx', 4) ?? Math.min(defaultWindow, model.card.maxSeqLen)
  checkWindow(model, maxSeqLen, nModels)
  const tokens = model.encode(text, { addSpecial: true, parseSpecial: false })
  if (tokens.length < 2 * maxSeqLen) {
    throw new WorkbenchError('E_BAD_REQUEST', `The text has ${tokens.length} tokens; at least ${2 * maxSeqLen} are needed for windows of ${maxSeqLen}.`, { hint: 'Take a longer text or a smaller --ctx.' })
  }
  const available = Math.floor(tokens.length / maxSeqLen)
  return { tokens, maxSeqLen, nChunks: Math.min(args.integer('chunks', 1) ?? available, available) }
}

// JavaScript holds the logits of one window; its buffers share 4 GB.
const largestWindowBytes = 1.5 * 1024 ** 3

function checkWindow(model: EngineModel, maxSeqLen: number, nModels = 1): void {
  if (maxSeqLen > model.card.maxSeqLen) throw new WorkbenchError('E_CONTEXT_LENGTH', `This model takes at most ${model.card.maxSeqLen} tokens, not ${maxSeqLen}.`)
  if (maxSeqLen * model.vocabSize * 4 * nModels > largestWindowBytes) throw new WorkbenchError('E_MEMORY', `Windows of ${maxSeqLen} tokens over ${model.vocabSize} words are too large to score at once.`, { hint: 'Take a smaller --ctx.' })
}

async function scoreWindows(context: CliContext, model: EngineModel, windows: Windows, score: (row: Float32Array, token: number) => Promise<void>, running: () => number): Promise<void> {
  const { nChunks } = windows
  for await (const { row, token, endsChunk } of windowRows(context, model, windows)) {
    await score(row, token)
    if (endsChunk !== undefined && context.interactive) context.writeError(`\r[${endsChunk + 1}/${nChunks}] ${running().toFixed(4)}${endsChunk + 1 === nChunks ? '\n' : ''}`)
  }
}

interface ScoredRow { row: Float32Array, token: number, endsChunk: number | undefined }

// Runs each window from an empty cache and hands over its scored half: the logits of a
// position and the token that follows it. Each window begins with the begin token when the
// tokenizer adds one.
async function* windowRows(context: CliContext, model: EngineModel, { tokens: all, maxSeqLen, nChunks }: Windows): AsyncGenerator<ScoredRow, undefined> {
  const begin = beginToken(model)
  const session = model.createSession({ maxSeqLen, cacheFormat: 'f32' })
  try {
    for (let chunk = 0; chunk < nChunks; chunk++) {
      const tokens = all.slice(chunk * maxSeqLen, (chunk + 1) * maxSeqLen)
      const evaluated = tokens.slice()
      if (begin !== undefined) evaluated[0] = begin
      const logits = await session.logits(evaluated, context.signal)
      const nScored = scoredPerChunk(maxSeqLen)
      for (let i = 0; i < nScored; i++) {
        const position = firstScored(maxSeqLen) + i
        yield {
          row: logits.subarray(position * model.vocabSize, (position + 1) * model.vocabSize),
          token: tokens[position + 1] ?? 0, endsChunk: i === nScored - 1 ? chunk : undefined,
        }
      }
    }
  } finally {
    session.close()
  }
}

// The token the tokenizer puts before every text, if it does.
function beginToken(model: EngineModel): number | undefined {
  const { bos } = model.specialTokens
  if (bos === '') return undefined
  const [id] = model.encode(bos, { addSpecial: false, parseSpecial: true })
  return id !== undefined && model.encode('a', { addSpecial: true, parseSpecial: false })[0] === id ? id : undefined
}

async function openFile(file: string, flags: 'r' | 'w'): Promise<FileHandle> {
  try {
    return await open(file, flags)
  } catch (error) {
    throw new WorkbenchError('E_IO', `The file ${file} cannot be ${flags === 'r' ? 'read' : 'written'}: ${(error as NodeJS.ErrnoException).code ?? String(error)}.`)
  }
}

async function readBytes(handle: FileHandle, length: number, position: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  const { bytesRead } = await handle.read(bytes, 0, length, position)
  if (bytesRead !== length) throw new WorkbenchError('E_IO', 'The file of base log-probabilities ends too early.')
  return bytes
}

function divergenceText(summary: DivergenceSummary): string {
  const { divergence, probabilityChange, sameTop, logRatio } = summary
  const value = (mean: number, error: number): string => `${mean.toFixed(6)} ± ${error.toFixed(6)}`
  return formatPairs([
    ['Mean PPL(Q)', summary.perplexity.toFixed(6)],
    ['Mean PPL(base)', summary.basePerplexity.toFixed(6)],
    ['Mean ln(PPL(Q)/PPL(base))', value(logRatio.mean, logRatio.error)],
    ['Cor(ln(PPL(Q)), ln(PPL(base)))', `${(100 * summary.correlation).toFixed(2)} %`],
    ['Mean KLD', value(divergence.mean, divergence.error)],
    ['Maximum KLD', divergence.maximum.toFixed(6)],
    ['99.9 % KLD', divergence.p999.toFixed(6)],
    ['99.0 % KLD', divergence.p99.toFixed(6)],
    ['90.0 % KLD', divergence.p90.toFixed(6)],
    ['Median KLD', divergence.median.toFixed(6)],
    ['Minimum KLD', divergence.minimum.toFixed(6)],
    ['Mean Δp', `${(100 * probabilityChange.mean).toFixed(3)} ± ${(100 * probabilityChange.error).toFixed(3)} %`],
    ['RMS Δp', `${(100 * probabilityChange.rms).toFixed(3)} %`],
    ['Largest Δp', `${(100 * probabilityChange.largest).toFixed(3)} %`],
    ['Same top token', `${(100 * sameTop.share).toFixed(3)} ± ${(100 * sameTop.error).toFixed(3)} %`],
    ['Scored tokens', String(summary.count)],
  ])
}
