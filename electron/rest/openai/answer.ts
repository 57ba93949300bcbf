// What the answers of all OpenAI routes share: one way to run a request whole or as a stream,
// and the figures at its end.
import { type GenerationStats, WorkbenchError } from '../../contract'
import type { RequestContext, RequestLogEntry } from '../dialect'
import { asWorkbenchError, openAiErrorBody } from '../errors'
import type { RestEvent, RestRequest } from '../services'
import { EventStream } from '../sse'

export interface AnswerHead { id: string, created: number, model: string, system_fingerprint: string }

export function answerHead(context: RequestContext, prefix: string, model: string): AnswerHead {
  return { id: `${prefix}-${context.requestId}`, created: Math.floor(context.log.at / 1000), model, system_fingerprint: `moebius-${context.version}` }
}

// Runs the request and hands each event to the stream's writer. A failure before the first
// event is thrown, so that it becomes an HTTP status; a later one is the last event.
export async function streamAnswer(context: RequestContext, request: RestRequest, onEvent: (stream: EventStream, event: RestEvent) => void, onEnd: (stream: EventStream, stats: GenerationStats) => void): Promise<void> {
  const stream = new EventStream(context.response, context.keepAliveMs)
  try {
    const stats = await context.services.generate(request, event => {
      if (event.type === 'admitted') stream.keepAlive()
      onEvent(stream, event)
    }, context.signal)
    noteStats(context.log, stats)
    onEnd(stream, stats)
    stream.done()
    stream.end()
  } catch (error) {
    stream.stop()
    if (!stream.started || context.signal.aborted) throw error
    const failure = asWorkbenchError(error)
    context.log.stopReason = failure.code
    stream.send(openAiErrorBody(failure))
    stream.end()
    if (failure.code === 'E_INTERNAL') throw error
  }
}

export async function collectAnswer(context: RequestContext, request: RestRequest): Promise<{ content: string, reasoning: string, stats: GenerationStats }> {
  let content = ''
  let reasoning = ''
  const stats = await context.services.generate(request, event => {
    if (event.type === 'content') content += event.text
    if (event.type === 'reasoning') reasoning += event.text
  }, context.signal)
  noteStats(context.log, stats)
  return { content, reasoning, stats }
}

export function finishReason(stats: GenerationStats): 'stop' | 'length' {
  if (stats.stopReason === 'stop' || stats.stopReason === 'length') return stats.stopReason
  throw new WorkbenchError('E_CANCELLED', 'The answer was stopped by the program before it was complete.', { retryable: true })
}

export function usage(stats: GenerationStats): Record<string, unknown> {
  return {
    prompt_tokens: stats.promptTokens, completion_tokens: stats.generatedTokens, total_tokens: stats.promptTokens + stats.generatedTokens,
    prompt_tokens_details: { cached_tokens: stats.cachedTokens },
  }
}

// llama.cpp's names; the prompt's figures count what was computed, not what was cached.
export function timings(stats: GenerationStats): Record<string, number> {
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
