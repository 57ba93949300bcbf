// moebius run: one answer on standard output, everything about it on standard error.
import { DraftMode, WorkbenchError, type DraftReason, type StreamedExperts } from '../../contract'
import type { DraftSettings, EngineModel, GeneratedToken, GenerationResult } from '../../engine/types'
import { AnswerSplitter, reasoningTagsOf, tagTokenTexts } from '../../services/answer-splitter'
import { defaultDraft } from '../../services/inference'
import { plainConversationStop, preparePrompt, type PreparedPrompt } from '../../services/prompt'
import { type Arguments, type CliContext, type Command, exitCodes, interrupted, loadOptions } from './command'
import { streamText, toJsonLine } from './format'
import { cacheFormat, chooseMaxSeqLen, readTextArgument, withModel } from './model-arguments'
import { readSampling, samplingOptions } from './sampling-arguments'

export const runCommand: Command = {
  name: 'run',
  usage: 'run MODEL -p TEXT [-n N] [--temp T] [--seed S] …',
  summary: 'Answer one prompt. The answer goes to standard output, reasoning and figures to standard error.',
  options: [
    { name: 'prompt', short: 'p', value: 'TEXT', help: 'The prompt; - reads standard input' },
    { name: 'file', short: 'f', value: 'FILE', help: 'Read the prompt from a file' },
    { name: 'system', value: 'TEXT', help: 'System prompt' },
    { name: 'raw', help: 'Continue the text as it is, without the chat template; special tokens in it are special' },
    { name: 'max-tokens', short: 'n', value: 'N', help: 'Stop after N tokens (default: what is left of the context)' },
    { name: 'stop', value: 'TEXT', help: 'End the answer at this text' },
    { name: 'ignore-eos', help: 'Go on after the end-of-answer token' },
    { name: 'max-seq-len', value: 'N', help: 'Context length (default: the model\'s, as far as memory allows)' },
    { name: 'ctx', value: 'N', help: 'The same as --max-seq-len' },
    { name: 'force', help: 'Load although memory seems too small' },
    { name: 'draft', value: 'MODE', help: 'Guess tokens with the model\'s draft layer: off, auto (while it is faster) or always; the answer is the same (default auto)' },
    { name: 'draft-tokens', value: 'N', help: 'Guesses for one step, 1 to 8 (default 1)' },
    ...samplingOptions,
    ...loadOptions,
  ],
  run: (args, context) => withModel(args, context, (model, path) => answer(args, context, model, path)),
}

async function answer(args: Arguments, context: CliContext, model: EngineModel, path: string): Promise<number> {
  const sampling = await readSampling(args)
  const draft = readDraft(args)
  if (draft.mode === 'always' && model.card.nMtpLayers === 0) context.writeError('This model has no draft layer: --draft always has nothing to draft with.\n')
  const prepared = await prepare(args, context, model)
  const maxTokens = args.integer('max-tokens') ?? 0
  const maxSeqLen = await chooseMaxSeqLen(args, context, model, path)
  refuseTooLong(prepared.tokens.length, maxTokens, maxSeqLen)

  const session = model.createSession({ maxSeqLen, cacheFormat })
  const stop = args.text('stop')
  const splitter = new AnswerSplitter({
    tags: args.flag('raw') ? undefined : reasoningTagsOf(model.chatTemplate), startsInReasoning: prepared.opensReasoning,
    stop: [...(stop === undefined ? [] : [stop]), ...(isPlain(args, model) ? plainConversationStop : [])],
  })
  const tagTexts = tagTokenTexts(reasoningTagsOf(model.chatTemplate), tag => model.encode(tag, { addSpecial: false, parseSpecial: true }))
  const output = new AnswerOutput(context, args.flag('json'), sampling.nProbs ?? 0)
  const controller = new AbortController()
  const forward = (): void => controller.abort()
  context.signal.addEventListener('abort', forward)
  if (context.signal.aborted) forward()
  try {
    const result = await session.generate(
      { tokens: prepared.tokens, maxTokens, sampling, draft, ...(args.flag('ignore-eos') && { ignoreEndOfGeneration: true }) },
      {
        signal: controller.signal,
        onToken: token => {
          output.add(token)
          output.write(splitter.push(tagTexts.get(token.id) ?? token.text))
          if (splitter.stoppedBy !== undefined) controller.abort()
        },
      })
    // What is left when the answer ended inside a character.
    if (result.trailingText) output.write(splitter.push(result.trailingText))
    output.write(splitter.finish())
    return output.finish(result, sampling.seed, splitter.stoppedBy, model.streamedExperts())
  } catch (error) {
    if (!interrupted(error)) throw error
    output.write(splitter.finish())
    context.writeError('\ninterrupted\n')
    return exitCodes.interrupted
  } finally {
    context.signal.removeEventListener('abort', forward)
    session.close()
  }
}

function readDraft(args: Arguments): DraftSettings {
  return { mode: args.choice('draft', DraftMode.options, defaultDraft.mode), tokens: args.integer('draft-tokens', 1, 8) ?? defaultDraft.tokens }
}

function draftText({ draft }: GenerationResult): string {
  if (!draft || draft.reason === 'no_draft_layer') return ''
  const share = draft.drafted > 0 ? `${draft.accepted} of ${draft.drafted} accepted (${Math.round(draft.accepted / draft.drafted * 100)} %)` : 'none'
  const speedup = draft.predictedSpeedup > 0 ? `, ${draft.predictedSpeedup.toFixed(2)} times the plain speed` : ''
  return `drafts: ${share}, ${draft.isOn ? 'on' : 'off'} at the end: ${draftReasons[draft.reason]}${speedup}\n`
}

const draftReasons: Record<DraftReason, string> = {
  not_asked: 'not asked for', no_draft_layer: 'the model has no draft layer', always: 'as asked', measuring: 'still measuring', gains: 'faster', no_gain: 'not faster', failed: 'drafting failed',
}

async function prepare(args: Arguments, context: CliContext, model: EngineModel): Promise<PreparedPrompt> {
  const text = await readTextArgument(args, context, 'prompt', 'file')
  if (args.flag('raw')) return preparePrompt(model, { prompt: text })
  if (isPlain(args, model)) context.writeError('This model has no chat template: the prompt is put as "User: … Assistant:". --raw continues the text as it is.\n')
  const system = args.text('system')
  return preparePrompt(model, { messages: [...(system === undefined ? [] : [{ role: 'system', content: system }]), { role: 'user', content: text }] })
}

function isPlain(args: Arguments, model: EngineModel): boolean {
  return !args.flag('raw') && model.chatTemplate.trim() === ''
}

function refuseTooLong(promptTokens: number, maxTokens: number, maxSeqLen: number): void {
  if (promptTokens === 0) throw new WorkbenchError('E_BAD_REQUEST', 'The prompt is empty.')
  if (promptTokens + Math.max(1, maxTokens) <= maxSeqLen) return
  throw new WorkbenchError('E_CONTEXT_LENGTH', `The context length is ${maxSeqLen} tokens, but the request has ${promptTokens + maxTokens} (prompt ${promptTokens} + max-tokens ${maxTokens}).`, {
    hint: 'Shorten the prompt, lower -n, or raise --ctx.', detail: { promptTokens, maxTokens, maxSeqLen },
  })
}

// Where the pieces of an answer go.
class AnswerOutput {
  private readonly tokens: number[] = []
  private readonly logprobs: { id: number, text: string, logprob: number | undefined, top: { id: number, logprob: number }[] }[] = []
  private content = ''
  private reasoning = ''
  private reasoningOpen = false

  constructor(private readonly context: CliContext, private readonly json: boolean, private readonly nProbs: number) {}

  add({ id, text, logprob, top }: GeneratedToken): void {
    this.tokens.push(id)
    if (this.nProbs > 0) this.logprobs.push({ id, text, logprob, top })
  }

  write(pieces: readonly { type: 'reasoning' | 'content', text: string }[]): void {
    for (const { type, text } of pieces) {
      if (type === 'reasoning') this.reasoning += text
      else this.content += text
      if (this.json) continue
      if (type === 'content' && this.reasoningOpen) this.context.writeError('\n\n')
      this.reasoningOpen = type === 'reasoning'
      if (type === 'reasoning') this.context.writeError(text)
      else this.context.writeOut(text)
    }
  }

  finish(result: GenerationResult, seed: number, stoppedBy: string | undefined, experts: StreamedExperts | undefined): number {
    const cancelled = result.stopReason === 'cancelled' && stoppedBy === undefined
    const stopReason = stoppedBy === undefined ? result.stopReason : 'stop'
    const rate = result.decodeMs > 0 ? (result.generatedTokens - 1) / result.decodeMs * 1000 : 0
    const promptRate = result.promptMs > 0 ? (result.promptTokens - result.cachedTokens) / result.promptMs * 1000 : 0
    if (this.json) {
      this.context.writeOut(toJsonLine({
        content: this.content, reasoning: this.reasoning, stopReason, ...(stoppedBy !== undefined && { stopString: stoppedBy }), seed, tokens: this.tokens, ...(this.nProbs > 0 && { logprobs: this.logprobs }),
        stats: { ...result, stopReason, tokensPerSecond: rate, promptTokensPerSecond: promptRate, ...(experts && { experts }) },
      }))
    } else {
      if (!this.content.endsWith('\n')) this.context.writeOut('\n')
      this.context.writeError(`\n${result.promptTokens} prompt tokens (${promptRate.toFixed(1)}/s), ${result.generatedTokens} generated (${rate.toFixed(1)}/s), first after ${result.timeToFirstTokenMs.toFixed(0)} ms, stopped by ${stopReason}, seed ${seed}\n${draftText(result)}${experts ? `${streamText(experts)}\n` : ''}`)
    }
    return cancelled ? exitCodes.interrupted : exitCodes.ok
  }
}
