// POST /v1/completions: a text or tokens continued as they are, without a chat template.
import { type RequestContext, sendJson } from '../dialect'
import { resolveModel } from '../models'
import { answerHead, collectAnswer, finishReason, streamAnswer, timings, usage } from './answer'
import { completionToService, parseCompletionRequest } from './schema'

export async function completions(context: RequestContext): Promise<void> {
  const parsed = parseCompletionRequest(context.body)
  const model = resolveModel(context.services.listModels(), parsed.model)
  context.log.model = model.id
  const request = completionToService(parsed, model.id, context.requestId)
  const { id, created, system_fingerprint } = answerHead(context, 'cmpl', model.id)
  const base = { id, object: 'text_completion', created, model: model.id, system_fingerprint }
  const choice = (text: string, finish: string | null): unknown => ({ index: 0, text, logprobs: null, finish_reason: finish })
  if (!parsed.stream) {
    const { content, stats } = await collectAnswer(context, request)
    return sendJson(context.response, 200, { ...base, choices: [choice(content, finishReason(stats))], usage: usage(stats), timings: timings(stats) })
  }
  const withUsage = parsed.stream_options?.include_usage === true
  const nothing = withUsage ? { usage: null } : {}
  const promptStarted = performance.now()
  await streamAnswer(context, request, (stream, event) => {
    if (event.type === 'content') stream.send({ ...base, choices: [choice(event.text, null)], ...nothing })
    if (event.type === 'prompt-progress' && parsed.return_progress) {
      stream.send({ ...base, choices: [choice('', null)], ...nothing, prompt_progress: { total: event.total, cache: event.cached, processed: event.processed, time_ms: Math.round(performance.now() - promptStarted) } })
    }
  }, (stream, stats) => {
    stream.send({ ...base, choices: [choice('', finishReason(stats))], ...nothing, timings: timings(stats) })
    if (withUsage) stream.send({ ...base, choices: [], usage: usage(stats) })
  })
}
