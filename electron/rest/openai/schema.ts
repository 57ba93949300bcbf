// The requests of /v1/chat/completions and /v1/completions. A parameter is used, or refused by its name: none
// is dropped in silence, because the answer would not be what the caller asked for.
import { z } from 'zod'
import { WorkbenchError } from '../../contract'
import { nearestNames } from '../nearest'
import type { RestMessage, RestRequest, RestSampling } from '../services'

const maxTextCharacters = 32_000_000

const TextPart = z.object({ type: z.literal('text'), text: z.string().max(maxTextCharacters) })
const Content = z.union([z.string().max(maxTextCharacters), z.array(TextPart).max(10_000)])
const ChatMessage = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: Content.nullish(),
  name: z.string().max(200).nullish(),
  reasoning_content: z.string().max(maxTextCharacters).nullish(),
  reasoning: z.string().max(maxTextCharacters).nullish(),
  refusal: z.null().optional(),
  tool_calls: z.array(z.never()).nullish(),
  annotations: z.array(z.unknown()).nullish(),
  audio: z.null().optional(),
  function_call: z.null().optional(),
})

const Penalty = z.number().min(-2).max(2)

// What both ways to ask have in common.
const common = {
  model: z.string().min(1).max(1000),
  stream: z.boolean().optional(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() }).optional(),
  max_tokens: z.number().int().min(1).max(10_000_000).optional(),
  temperature: z.number().min(0).max(10).optional(),
  top_p: z.number().min(0).max(1).optional(),
  min_p: z.number().min(0).max(1).optional(),
  typical_p: z.number().min(0).max(1).optional(),
  top_k: z.number().int().min(0).max(1_000_000).optional(),
  sampling_top_k: z.number().int().min(0).max(1_000_000).optional(),
  repeat_penalty: z.number().min(0).max(10).optional(),
  frequency_penalty: Penalty.optional(),
  presence_penalty: Penalty.optional(),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100)).optional(),
  seed: z.number().int().optional(),
  stop: z.union([z.string().max(1000), z.array(z.string().max(1000)).max(64)]).optional(),
  grammar: z.string().max(1_000_000).optional(),
  return_progress: z.boolean().optional(),
  // Accepted because they ask for nothing this server does not do anyway.
  n: z.literal(1).optional(),
  cache_prompt: z.literal(true).optional(),
  user: z.string().max(1000).optional(),
}

export const ChatCompletionRequest = z.strictObject({
  ...common,
  messages: z.array(ChatMessage).min(1).max(20_000),
  max_completion_tokens: z.number().int().min(1).max(10_000_000).optional(),
  response_format: z.discriminatedUnion('type', [
    z.object({ type: z.literal('text') }),
    z.object({ type: z.literal('json_object') }),
    z.object({ type: z.literal('json_schema'), json_schema: z.object({ name: z.string().optional(), description: z.string().optional(), strict: z.boolean().nullish(), schema: z.record(z.string(), z.unknown()).or(z.boolean()) }) }),
  ]).optional(),
  reasoning_format: z.enum(['auto', 'deepseek', 'openai', 'none']).optional(),
  reasoning_effort: z.string().max(20).optional(),
  chat_template_kwargs: z.record(z.string().max(100), z.unknown()).optional(),
  // These, too, ask for nothing special.
  logprobs: z.literal(false).optional(),
  top_logprobs: z.literal(0).optional(),
  store: z.literal(false).optional(),
  tools: z.array(z.never()).optional(),
  functions: z.array(z.never()).optional(),
  tool_choice: z.enum(['none', 'auto']).optional(),
  parallel_tool_calls: z.boolean().optional(),
  modalities: z.tuple([z.literal('text')]).optional(),
  service_tier: z.enum(['auto', 'default']).optional(),
  safety_identifier: z.string().max(1000).optional(),
  prompt_cache_key: z.string().max(1000).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
})
export type ChatCompletionRequest = z.infer<typeof ChatCompletionRequest>

const TokenArray = z.array(z.number().int().min(0).max(2 ** 31 - 1)).min(1).max(2_000_000)
export const CompletionRequest = z.strictObject({
  ...common,
  // One text, or one list of tokens; a list of several prompts is refused.
  prompt: z.union([z.string().max(maxTextCharacters), TokenArray, z.tuple([z.string().max(maxTextCharacters)]), z.tuple([TokenArray])]),
  logprobs: z.never().optional(),
  echo: z.literal(false).optional(),
  best_of: z.literal(1).optional(),
})
export type CompletionRequest = z.infer<typeof CompletionRequest>

// Known to other servers, not done here yet.
const notYet = [
  'audio', 'prediction', 'web_search_options', 'verbosity', 'function_call', 'ttl', 'truncation', 'reasoning_budget', 'suffix',
  'dry_multiplier', 'dry_base', 'dry_allowed_length', 'dry_penalty_last_n', 'dry_sequence_breakers', 'xtc_probability', 'xtc_threshold', 'mirostat',
  'mirostat_tau', 'mirostat_eta', 'repeat_last_n', 'top_n_sigma', 'dynatemp_range', 'samplers', 'id_slot', 'n_probs', 'timings_per_token', 'ignore_eos', 'min_keep', 'n_predict',
]
// Values other than these are what the literals above refuse.
const valueNotYet = new Set(['n', 'echo', 'best_of', 'logprobs', 'top_logprobs', 'store', 'tools', 'functions', 'tool_choice', 'cache_prompt', 'modalities', 'service_tier'])

export function parseChatRequest(body: unknown): ChatCompletionRequest {
  const given = givenParameters(body, ChatCompletionRequest.shape)
  refuseUnsupportedMessages(given.messages)
  return parse(ChatCompletionRequest, given)
}

export function parseCompletionRequest(body: unknown): CompletionRequest {
  const given = givenParameters(body, CompletionRequest.shape)
  if (Array.isArray(given.prompt) && given.prompt.length > 1 && typeof given.prompt[0] !== 'number') throw badParameter('prompt', 'Several prompts in one request are not supported yet.')
  return parse(CompletionRequest, given)
}

function givenParameters(body: unknown, shape: Record<string, unknown>): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw badParameter('', 'The request body must be a JSON object.')
  // Clients write null for "not given".
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(shape, name)) continue
    if (notYet.includes(name)) throw badParameter(name, `The parameter '${name}' is not supported yet.`)
    throw badParameter(name, `Unknown parameter '${name}'. Did you mean '${nearestNames(name, Object.keys(shape), 1)[0]}'?`)
  }
  return given
}

function parse<T extends z.ZodType>(schema: T, given: Record<string, unknown>): z.output<T> {
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const path = issue?.path.map(String).join('.') ?? ''
  const top = String(issue?.path[0] ?? '')
  if (valueNotYet.has(top)) throw badParameter(top, `The parameter '${top}' is not supported yet with the value ${JSON.stringify(given[top])?.slice(0, 100)}.`)
  throw badParameter(path, `Invalid '${path}': ${issue?.message ?? 'does not fit the schema'}.`)
}

function refuseUnsupportedMessages(messages: unknown): void {
  if (!Array.isArray(messages)) return
  messages.forEach((message: unknown, i) => {
    if (typeof message !== 'object' || message === null) return
    const { role, content, tool_calls: toolCalls } = message as Record<string, unknown>
    if (role === 'tool' || role === 'function') throw badParameter(`messages.${i}.role`, `Messages of the role '${role}' are not supported yet.`)
    if (Array.isArray(toolCalls) && toolCalls.length > 0) throw badParameter(`messages.${i}.tool_calls`, 'Tool calls are not supported yet.')
    if (!Array.isArray(content)) return
    const other = content.find((part: unknown) => typeof part === 'object' && part !== null && 'type' in part && part.type !== 'text') as { type: unknown } | undefined
    if (other) throw badParameter(`messages.${i}.content`, `Content parts of the type '${String(other.type)}' are not supported: this server reads text.`)
  })
}

export function chatToService(parsed: ChatCompletionRequest, modelId: string, requestId: string): RestRequest {
  if (parsed.max_tokens !== undefined && parsed.max_completion_tokens !== undefined && parsed.max_tokens !== parsed.max_completion_tokens) throw badParameter('max_tokens', '\'max_tokens\' and \'max_completion_tokens\' are the same parameter, but have different values.')
  const format = parsed.response_format
  if (parsed.grammar !== undefined && format !== undefined && format.type !== 'text') throw badParameter('grammar', '\'grammar\' and \'response_format\' exclude each other.')
  const schema = format?.type === 'json_object' ? { type: 'object' } : format?.type === 'json_schema' ? format.json_schema.schema : undefined
  return {
    requestId, modelId,
    input: { messages: parsed.messages.map(toMessage) },
    sampling: { ...toSampling(parsed), ...(schema !== undefined && { jsonSchema: JSON.stringify(schema) }) },
    maxTokens: parsed.max_completion_tokens ?? parsed.max_tokens ?? 0,
    stop: stopStrings(parsed.stop),
    splitReasoning: parsed.reasoning_format !== 'none',
    templateVariables: {
      ...(parsed.reasoning_effort !== undefined && { reasoning_effort: parsed.reasoning_effort }),
      ...(parsed.reasoning_effort === 'none' && { enable_thinking: false }),
      ...parsed.chat_template_kwargs,
    },
  }
}

export function completionToService(parsed: CompletionRequest, modelId: string, requestId: string): RestRequest {
  const { prompt } = parsed
  const single = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt[0] as string | number[] : prompt as string | number[]
  return {
    requestId, modelId, input: { prompt: single }, sampling: toSampling(parsed), maxTokens: parsed.max_tokens ?? 0, stop: stopStrings(parsed.stop), splitReasoning: false, templateVariables: {},
  }
}

function stopStrings(stop: string | string[] | undefined): string[] {
  return (typeof stop === 'string' ? [stop] : stop ?? []).filter(text => text !== '')
}

function toMessage(message: ChatCompletionRequest['messages'][number], index: number): RestMessage {
  const content = Array.isArray(message.content) ? message.content.map(part => part.text).join('') : message.content
  if (content === undefined || content === null) throw badParameter(`messages.${index}.content`, `Invalid 'messages.${index}.content': a text is required.`)
  const reasoning = message.reasoning_content ?? message.reasoning
  return {
    role: message.role === 'developer' ? 'system' : message.role, content,
    ...(message.name && { name: message.name }),
    ...(reasoning && { reasoning_content: reasoning }),
  }
}

type SamplingParameters = Pick<CompletionRequest, 'temperature' | 'top_k' | 'sampling_top_k' | 'top_p' | 'min_p' | 'typical_p' | 'repeat_penalty' | 'frequency_penalty' | 'presence_penalty' | 'logit_bias' | 'seed' | 'grammar'>

function toSampling(parsed: SamplingParameters): RestSampling {
  if (parsed.top_k !== undefined && parsed.sampling_top_k !== undefined && parsed.top_k !== parsed.sampling_top_k) throw badParameter('top_k', '\'top_k\' and \'sampling_top_k\' are the same parameter, but have different values.')
  const samplingTopK = parsed.sampling_top_k ?? parsed.top_k
  return {
    ...(parsed.temperature !== undefined && { temperature: parsed.temperature }),
    ...(samplingTopK !== undefined && { samplingTopK }),
    ...(parsed.top_p !== undefined && { topP: parsed.top_p }),
    ...(parsed.min_p !== undefined && { minP: parsed.min_p }),
    ...(parsed.typical_p !== undefined && { typicalP: parsed.typical_p }),
    ...(parsed.repeat_penalty !== undefined && { repeatPenalty: parsed.repeat_penalty }),
    ...(parsed.frequency_penalty !== undefined && { frequencyPenalty: parsed.frequency_penalty }),
    ...(parsed.presence_penalty !== undefined && { presencePenalty: parsed.presence_penalty }),
    ...(parsed.logit_bias !== undefined && { logitBias: Object.entries(parsed.logit_bias).map(([token, bias]) => ({ token: Number(token), bias })) }),
    // Negative seeds mean "any"; larger ones are folded into what the sampler takes.
    ...(parsed.seed !== undefined && parsed.seed >= 0 && { seed: parsed.seed % 2 ** 32 }),
    ...(parsed.grammar !== undefined && { grammar: parsed.grammar }),
  }
}

function badParameter(param: string, message: string): WorkbenchError {
  return new WorkbenchError('E_SCHEMA', message, { detail: { param } })
}
