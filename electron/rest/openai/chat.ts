// POST /v1/chat/completions: one answer, whole or as a stream of chunks.
import { type GenerationStats, WorkbenchError } from '../../contract'
import { type RequestContext, type RequestLogEntry, sendJson } from '../dialect'
import { asWorkbenchError, openAiErrorBody } from '../errors'
import { resolveModel } from '../models'
import type { RestChatRequest } from '../services'
import { EventStream } from '../sse'
import { type ChatCompletionRequest, parseChatRequest, toServiceRequest } from './schema'

type ReasoningField = 'reasoning_content' | 'reasoning'

export async function chatCompletions(context: RequestContext): Promise<void> {
  const parsed = parseChatRequest(context.body)
  const model = resolveModel(context.services.listModels(), parsed.model)
  context.log.model = model.id
  const request = toServiceRequest(parsed, model.id, context.requestId)
  const head: AnswerHead = {
    id: `chatcmpl-${context.requestId}`, created: Math.floor(context.log.at / 1000), model: model.id, system_fingerprint: `moebius-${context.version}`,
  }
  await (parsed.stream ? streamAnswer(context, parsed, request, head) : wholeAnswer(context, parsed, request, head))
}

interface AnswerHead { id: string, created: number, model: string, system_fingerprint: string }

async function wholeAnswer(context: RequestContext, parsed: ChatCompletionRequest, request: RestChatRequest, head: AnswerHead): Promise<void> {
  let content = ''
  let reasoning = ''
  const stats = await context.services.generate(request, event => {
    if (event.type === 'content') content += event.text
    if (event.type === 'reasoning') reasoning += event.text
  }, context.signal)
  noteStats(context.log, stats)
  sendJson(context.response, 200, {
    id: head.id, object: 'chat.completion', created: head.created, model: head.model, system_fingerprint: head.system_fingerprint,
    choices: [{
      index: 0,
      message: { role: 'assistant', content, refusal: null, ...(reasoning !== '' && { [reasoningField(parsed)]: reasoning }) },
      logprobs: null,
      finish_reason: finishReason(stats),
    }],
    usage: usage(stats),
    timings: timings(stats),
  })
}

async function streamAnswer(context: RequestContext, parsed: ChatCompletionRequest, request: RestChatRequest, head: AnswerHead): Promise<void> {
  const stream = new EventStream(context.response, context.keepAliveMs)
  const withUsage = parsed.stream_options?.include_usage === true
  const base = { id: head.id, object: 'chat.completion.chunk', created: head.created, model: head.model, system_fingerprint: head.system_fingerprint }
  const send = (delta: Record<string, unknown>, finish: string | null = null, extension: Record<string, unknown> = {}): void => {
    stream.send({ ...base, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...(withUsage && { usage: null }), ...extension })
  }
  let opened = false
  const open = (): void => {
    if (!opened) send({ role: 'assistant', content: '' })
    opened = true
  }
  const promptStarted = performance.now()
  try {
    const stats = await context.services.generate(request, event => {
      if (event.type === 'admitted') return stream.keepAlive()
      if (event.type === 'prompt-progress') {
        if (!parsed.return_progress) return
        open()
        return send({}, null, { prompt_progress: { total: event.total, cache: event.cached, processed: event.processed, time_ms: Math.round(performance.now() - promptStarted) } })
      }
      open()
      send(event.type === 'content' ? { content: event.text } : { [reasoningField(parsed)]: event.text })
    }, context.signal)
    noteStats(context.log, stats)
    const reason = finishReason(stats)
    open()
    send({}, reason, { timings: timings(stats) })
    if (withUsage) stream.send({ ...base, choices: [], usage: usage(stats) })
    stream.done()
    stream.end()
  } catch (error) {
    stream.stop()
    // Nothing sent yet: the failure becomes an HTTP status. Otherwise it is the last event.
    if (!stream.started || context.signal.aborted) throw error
    const failure = asWorkbenchError(error)
    context.log.stopReason = failure.code
    stream.send(openAiErrorBody(failure))
    stream.end()
    if (failure.code === 'E_INTERNAL') throw error
  }
}

function reasoningField(parsed: ChatCompletionRequest): ReasoningField {
  return parsed.reasoning_format === 'openai' ? 'reasoning' : 'reasoning_content'
}

function finishReason(stats: GenerationStats): 'stop' | 'length' {
  if (stats.stopReason === 'stop' || stats.stopReason === 'length') return stats.stopReason
  throw new WorkbenchError('E_CANCELLED', 'The answer was stopped by the program before it was complete.', { retryable: true })
}

function usage(stats: GenerationStats): Record<string, unknown> {
  return {
    prompt_tokens: stats.promptTokens, completion_tokens: stats.generatedTokens, total_tokens: stats.promptTokens + stats.generatedTokens,
    prompt_tokens_details: { cached_tokens: stats.cachedTokens },
  }
}

function timings(stats: GenerationStats): Record<string, number> {
  return {
    cache_n: stats.cachedTokens,
    prompt_n: stats.promptTokens - stats.cachedTokens, prompt_ms: stats.promptMs, prompt_per_second: stats.promptTokensPerSecond,
    predicted_n: stats.generatedTokens, predicted_ms: stats.decodeMs, predicted_per_second: stats.tokensPerSecond,
  }
}

function noteStats(log: RequestLogEntry, stats: GenerationStats): void {
  Object.assign(log, {
    promptTokens: stats.promptTokens, cachedTokens: stats.cachedTokens, generatedTokens: stats.generatedTokens,
    timeToFirstTokenMs: stats.timeToFirstTokenMs, tokensPerSecond: stats.tokensPerSecond, stopReason: stats.stopReason,
  })
}
