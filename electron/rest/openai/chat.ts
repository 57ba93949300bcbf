// POST /v1/chat/completions: one answer, whole or as a stream of chunks; and the count of its
// prompt alone.
import { type RequestContext, sendJson } from '../dialect'
import { resolveModel } from '../models'
import type { RestRequest } from '../services'
import type { EventStream } from '../sse'
import { type AnswerHead, answerHead, collectAnswer, finishReason, streamAnswer, timings, usage } from './answer'
import { type ChatCompletionRequest, chatToService, parseChatRequest } from './schema'

export async function chatCompletions(context: RequestContext): Promise<void> {
  const { parsed, request } = prepare(context)
  const head = answerHead(context, 'chatcmpl', request.modelId)
  await (parsed.stream ? stream(context, parsed, request, head) : whole(context, parsed, request, head))
}

export async function countInputTokens(context: RequestContext): Promise<void> {
  const { request } = prepare(context)
  const inputTokens = await context.services.countTokens(request, context.signal)
  context.log.promptTokens = inputTokens
  sendJson(context.response, 200, { object: 'response.input_tokens', input_tokens: inputTokens })
}

function prepare(context: RequestContext): { parsed: ChatCompletionRequest, request: RestRequest } {
  const parsed = parseChatRequest(context.body)
  const model = resolveModel(context.services.listModels(), parsed.model)
  context.log.model = model.id
  return { parsed, request: chatToService(parsed, model.id, context.requestId) }
}

async function whole(context: RequestContext, parsed: ChatCompletionRequest, request: RestRequest, head: AnswerHead): Promise<void> {
  const { content, reasoning, stats } = await collectAnswer(context, request)
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

async function stream(context: RequestContext, parsed: ChatCompletionRequest, request: RestRequest, head: AnswerHead): Promise<void> {
  const withUsage = parsed.stream_options?.include_usage === true
  const base = { id: head.id, object: 'chat.completion.chunk', created: head.created, model: head.model, system_fingerprint: head.system_fingerprint }
  const send = (events: EventStream, delta: Record<string, unknown>, finish: string | null = null, extension: Record<string, unknown> = {}): void => {
    events.send({ ...base, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...(withUsage && { usage: null }), ...extension })
  }
  let opened = false
  const open = (events: EventStream): void => {
    if (!opened) send(events, { role: 'assistant', content: '' })
    opened = true
  }
  const promptStarted = performance.now()
  await streamAnswer(context, request, (events, event) => {
    if (event.type === 'content' || event.type === 'reasoning') {
      open(events)
      send(events, event.type === 'content' ? { content: event.text } : { [reasoningField(parsed)]: event.text })
    } else if (event.type === 'prompt-progress' && parsed.return_progress) {
      open(events)
      send(events, {}, null, { prompt_progress: { total: event.total, cache: event.cached, processed: event.processed, time_ms: Math.round(performance.now() - promptStarted) } })
    }
  }, (events, stats) => {
    const reason = finishReason(stats)
    open(events)
    send(events, {}, reason, { timings: timings(stats) })
    if (withUsage) events.send({ ...base, choices: [], usage: usage(stats) })
  })
}

function reasoningField(parsed: ChatCompletionRequest): 'reasoning_content' | 'reasoning' {
  return parsed.reasoning_format === 'openai' ? 'reasoning' : 'reasoning_content'
}
