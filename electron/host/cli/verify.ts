// moebius verify: checks that a model file and this engine agree with themselves.
import { WorkbenchError } from '../../contract'
import type { EngineModel, GgufInspection } from '../../engine/types'
import { renderChatTemplate } from '../../services/chat-template'
import { type CliContext, type Command, exitCodes, loadOptions } from './command'
import { formatTable, printable, toJsonLine } from './format'
import { withModel } from './model-arguments'

type Verdict = 'PASS' | 'FAIL' | 'NOTE'
interface Check { name: string, verdict: Verdict, detail: string }

const samples = ['Hello, world!', 'The quick brown fox\njumps over 13 lazy dogs.', 'naïve café – „Größe“', '床前明月光，疑是地上霜。', 'def f(x):\n\treturn x ** 2  # €', '👩‍👩‍👧 emoji', '   leading and trailing   ']
const nGreedy = 8
// Below this distance between the two best logits, rounding may decide: of floats, or of the
// 8-bit activations that quantised kernels use.
const nearTie = { exact: 0.01, fast: 0.3 }

export const verifyCommand: Command = {
  name: 'verify',
  usage: 'verify MODEL [--json]',
  summary: 'Check a model file: complete, understood, tokenizer and template sound, decode equal to prefill.',
  options: loadOptions,
  async run(args, context) {
    const path = await context.resolveModel(args.model())
    const inspection = await (await context.engine()).inspect(path)
    const checks = [...fileChecks(inspection), ...semanticsChecks(inspection)]
    if (inspection.card.supported) {
      checks.push(...await withModel(args, context, model => modelChecks(model, context, args.flag('exact') ? nearTie.exact : nearTie.fast)).catch((error: unknown) => {
        if (!(error instanceof WorkbenchError) || error.code === 'E_CANCELLED') throw error
        return [check('load', false, `${error.code}: ${error.message}`)]
      }))
    }
    const failed = checks.filter(({ verdict }) => verdict === 'FAIL').length
    if (args.flag('json')) context.writeOut(toJsonLine({ path, passed: failed === 0, checks }))
    else context.writeOut(formatTable(['check', 'result', 'detail'], checks.map(({ name, verdict, detail }) => [name, verdict, printable(detail)])) + `\n${failed === 0 ? 'PASS' : `FAIL: ${failed} of ${checks.length} checks`}\n`)
    return failed === 0 ? exitCodes.ok : exitCodes.failure
  },
}

function check(name: string, passed: boolean, detail: string): Check {
  return { name, verdict: passed ? 'PASS' : 'FAIL', detail }
}

function note(name: string, detail: string): Check {
  return { name, verdict: 'NOTE', detail }
}

function fileChecks({ card, tensors, parts }: GgufInspection): Check[] {
  const names = new Set(tensors.map(tensor => tensor.name))
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0)
  return [
    check('architecture', card.supported, card.supported ? card.architecture : card.unsupportedReason),
    check('tensor table', tensors.length > 0 && names.size === tensors.length && tensors.every(tensor => tensor.bytes > 0 && tensor.shape.every(size => size > 0)), `${tensors.length} tensors in ${parts.length} ${parts.length === 1 ? 'file' : 'files'}`),
    check('tensor bytes', bytes > 0 && bytes <= card.fileBytes, `${bytes} of ${card.fileBytes} bytes`),
    ...(card.ignoredTensors.length > 0 ? [note('ignored tensors', card.ignoredTensors.join(', '))] : []),
  ]
}

// What the file says, and what had to be assumed because it does not.
function semanticsChecks({ card }: GgufInspection): Check[] {
  const list = (origins: readonly string[]): string => card.derived.filter(({ origin }) => origins.includes(origin)).map(({ name, value }) => `${name} ${value}`).join(', ')
  const [stated, assumed, overridden] = [list(['key', 'tensor']), list(['table', 'default']), list(['override'])]
  return [
    ...(stated !== '' ? [note('derived from file', stated)] : []),
    ...(assumed !== '' ? [note('assumed', assumed)] : []),
    ...(overridden !== '' ? [note('overridden', overridden)] : []),
    ...card.warnings.map(text => note('warning', text)),
  ]
}

async function modelChecks(model: EngineModel, context: CliContext, tolerance: number): Promise<Check[]> {
  return [
    check('load', true, `${model.card.nLayers} layers, ${model.vocabSize} words`),
    tokenizerCheck(model),
    specialTokensCheck(model),
    ...await templateCheck(model),
    ...await numericChecks(model, context, tolerance),
  ]
}

function tokenizerCheck(model: EngineModel): Check {
  const broken = samples.filter(text => {
    const ids = model.encode(text, { addSpecial: false, parseSpecial: false })
    const back = model.decode(ids)
    // SentencePiece puts a space before the first word.
    return ids.some(id => id < 0 || id >= model.vocabSize) || (back !== text && back !== ` ${text}`)
  })
  return check('tokenizer round trip', broken.length === 0, broken.length === 0 ? `${samples.length} texts` : `differs for ${JSON.stringify(broken[0])}`)
}

function specialTokensCheck(model: EngineModel): Check {
  const wrong = Object.entries(model.specialTokens).filter(([, text]) => text !== '' && model.encode(text, { addSpecial: false, parseSpecial: true }).length !== 1).map(([name]) => name)
  const end = model.endOfGeneration.length > 0 && model.endOfGeneration.every(id => id >= 0 && id < model.vocabSize)
  return check('special tokens', wrong.length === 0 && end, wrong.length > 0 ? `not one token: ${wrong.join(', ')}` : end ? `${model.endOfGeneration.length} end the answer` : 'no token ends an answer')
}

async function templateCheck(model: EngineModel): Promise<Check[]> {
  if (model.chatTemplate === '') return [note('chat template', 'none: text completion only')]
  try {
    const prompt = await renderChatTemplate(model.chatTemplate, { messages: [{ role: 'user', content: 'Hello' }], addGenerationPrompt: true, bosToken: model.specialTokens.bos, eosToken: model.specialTokens.eos })
    return [check('chat template', prompt.includes('Hello'), prompt.includes('Hello') ? `${prompt.length} characters for one turn` : 'the message is missing from the prompt')]
  } catch (error) {
    return [check('chat template', false, error instanceof Error ? error.message : String(error))]
  }
}

// Greedy decoding, token by token, must choose what one pass over all tokens finds largest:
// for latent attention these are two different graphs.
async function numericChecks(model: EngineModel, context: CliContext, tolerance: number): Promise<Check[]> {
  const prompt = model.encode(samples[1] ?? '', { addSpecial: true, parseSpecial: false }).slice(0, Math.max(1, Math.min(32, model.card.maxSeqLen - nGreedy)))
  const maxSeqLen = prompt.length + nGreedy
  const session = model.createSession({ maxSeqLen, cacheFormat: 'f32' })
  const prefill = model.createSession({ maxSeqLen, cacheFormat: 'f32' })
  try {
    const chosen: number[] = []
    await session.generate(
      { tokens: prompt, maxTokens: nGreedy, ignoreEndOfGeneration: true, sampling: { temperature: 0, samplingTopK: 0, topP: 1, minP: 0, repeatPenalty: 1, seed: 0 } },
      { signal: context.signal, onToken: token => { chosen.push(token.id) } })
    const all = Int32Array.from([...prompt, ...chosen])
    const logits = await prefill.logits(all, context.signal)
    const finite = logits.every(Number.isFinite)
    return [
      check('finite logits', finite, `${all.length} × ${model.vocabSize}`),
      decodeCheck(model, logits, prompt.length, chosen, tolerance),
      ...await routingChecks(model, all, context),
    ]
  } finally {
    session.close()
    prefill.close()
  }
}

function decodeCheck(model: EngineModel, logits: Float32Array, promptLength: number, chosen: readonly number[], tolerance: number): Check {
  let ties = 0
  for (const [i, token] of chosen.entries()) {
    const row = logits.subarray((promptLength - 1 + i) * model.vocabSize, (promptLength + i) * model.vocabSize)
    const best = row.reduce((largest, value) => Math.max(largest, value), Number.NEGATIVE_INFINITY)
    const gap = best - (row[token] ?? Number.NEGATIVE_INFINITY)
    if (gap > tolerance) return check('decode equals prefill', false, `step ${i + 1}: decode chose a token ${gap.toFixed(4)} below the best of prefill`)
    if (gap > 0) ties++
  }
  return check('decode equals prefill', chosen.length === nGreedy, `${chosen.length} greedy tokens${ties > 0 ? `, ${ties} near ties` : ''}`)
}

async function routingChecks(model: EngineModel, tokens: Int32Array, context: CliContext): Promise<Check[]> {
  const { moe } = model
  if (!moe) return []
  const session = model.createSession({ maxSeqLen: tokens.length, cacheFormat: 'f32' })
  try {
    const trace = await session.route(tokens, context.signal)
    const sound = trace.layers.every(({ ids, weights }) => {
      for (let t = 0; t < trace.nTokens; t++) {
        const row = ids.subarray(t * moe.nActiveExperts, (t + 1) * moe.nActiveExperts)
        if (new Set(row).size !== moe.nActiveExperts || row.some(id => id < 0 || id >= moe.nRoutedExperts)) return false
      }
      return weights.every(Number.isFinite)
    })
    return [check('routing', trace.layers.length === moe.nLayers && trace.nTokens === tokens.length && sound, `${trace.layers.length} layers, ${moe.nActiveExperts} of ${moe.nRoutedExperts} experts`)]
  } finally {
    session.close()
  }
}
