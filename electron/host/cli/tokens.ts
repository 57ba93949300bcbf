// moebius tokenize, detokenize, logits: the model's pieces, for scripts and comparisons.
import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { WorkbenchError } from '../../contract'
import { type Command, exitCodes, loadOptions } from './command'
import { formatTable, printable, toJsonLine } from './format'
import { checkFits, readTextArgument, readTokens, withModel } from './model-arguments'

const tokenOptions = [
  { name: 'tokens', value: 'IDS', help: 'Token ids, separated by commas; none is added' },
  { name: 'tokens-file', value: 'FILE', help: 'Read the token ids from a file; - reads standard input' },
] as const

export const tokenizeCommand: Command = {
  name: 'tokenize',
  usage: 'tokenize MODEL (--text T | --text-file F) [--no-special] [--json]',
  summary: 'Turn text into token ids.',
  options: [
    { name: 'text', value: 'TEXT', help: 'The text; - reads standard input' },
    { name: 'text-file', value: 'FILE', help: 'Read the text from a file' },
    { name: 'no-special', help: 'Add no begin or end token, and read special tokens\' text as plain text' },
  ],
  run: (args, context) => withModel(args, context, async model => {
    const text = await readTextArgument(args, context, 'text', 'text-file')
    const special = !args.flag('no-special')
    const tokens = [...model.encode(text, { addSpecial: special, parseSpecial: special })]
    if (args.flag('json')) context.writeOut(toJsonLine({ tokens, count: tokens.length }))
    else context.writeOut(formatTable(['id', 'text'], tokens.map(id => [String(id), printable(JSON.stringify(model.decode([id], { keepSpecial: true })))]), [0]))
    return exitCodes.ok
  }, { vocabularyOnly: true }),
}

export const detokenizeCommand: Command = {
  name: 'detokenize',
  usage: 'detokenize MODEL (--tokens IDS | --tokens-file F) [--no-special] [--json]',
  summary: 'Turn token ids into text.',
  options: [...tokenOptions, { name: 'no-special', help: 'Leave control tokens out' }],
  run: (args, context) => withModel(args, context, async model => {
    const text = model.decode(await readTokens(args, context, model.vocabSize), { keepSpecial: !args.flag('no-special') })
    context.writeOut(args.flag('json') ? toJsonLine({ text }) : `${text}\n`)
    return exitCodes.ok
  }, { vocabularyOnly: true }),
}

export const logitsCommand: Command = {
  name: 'logits',
  usage: 'logits MODEL (--tokens IDS | --tokens-file F) --out FILE [--json]',
  summary: 'Write the logits of every position as little-endian f32 [n_tokens, vocab_size]. No token is added.',
  options: [...tokenOptions, { name: 'out', short: 'o', value: 'FILE', help: 'The file to write' }, ...loadOptions],
  run: (args, context) => withModel(args, context, async model => {
    const out = args.required('out')
    const tokens = await readTokens(args, context, model.vocabSize)
    checkFits(model, tokens)
    const session = model.createSession({ maxSeqLen: tokens.length, cacheFormat: 'f32' })
    try {
      const logits = await session.logits(tokens, context.signal)
      await writeFloats(out, logits)
      const shape = { nTokens: tokens.length, vocabSize: model.vocabSize, file: out }
      if (args.flag('json')) context.writeOut(toJsonLine(shape))
      else context.writeError(`${shape.nTokens} × ${shape.vocabSize} logits written to ${out}\n`)
    } finally {
      session.close()
    }
    return exitCodes.ok
  }),
}

// Little-endian, whatever this machine is.
async function writeFloats(file: string, values: Float32Array): Promise<void> {
  const stream = createWriteStream(file)
  const finished = new Promise<void>((resolve, reject) => stream.on('finish', resolve).on('error', error => reject(new WorkbenchError('E_IO', `The file ${file} cannot be written: ${error.message}.`))))
  const step = 1 << 20
  for (let at = 0; at < values.length && !stream.destroyed; at += step) {
    const part = values.subarray(at, at + step)
    const bytes = Buffer.alloc(part.length * 4)
    part.forEach((value, i) => bytes.writeFloatLE(value, i * 4))
    if (!stream.write(bytes)) await Promise.race([once(stream, 'drain'), finished])
  }
  stream.end()
  await finished
}
