// The official client against the server: what programs out there really send and read.
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRestServer, type RequestLogEntry, type RestServer } from '../../electron/rest'
import { FakeServices } from './fake-services'

const services = new FakeServices()
const log: RequestLogEntry[] = []
const failures: unknown[] = []
let server: RestServer
let client: OpenAI

beforeAll(async () => {
  server = createRestServer(services, { port: 0, version: '0.1.0', onRequest: entry => log.push(entry), onError: error => failures.push(error), keepAliveMs: 40 })
  const { port } = await server.start()
  client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'anything', maxRetries: 0 })
})
afterAll(() => server.stop())

function ask(content: string, more: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> = {}): Promise<OpenAI.ChatCompletion> {
  return client.chat.completions.create({ model: 'moebius-demo-6m', messages: [{ role: 'user', content }], ...more })
}

async function collect(content: string, more: Partial<OpenAI.ChatCompletionCreateParamsStreaming> = {}): Promise<OpenAI.ChatCompletionChunk[]> {
  const stream = await client.chat.completions.create({ model: 'demo', messages: [{ role: 'user', content }], stream: true, ...more })
  const chunks: OpenAI.ChatCompletionChunk[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

// Leaving the loop is the client hanging up.
async function readSome(stream: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<void> {
  let text = ''
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    if (text.length > 5) break
  }
}

describe('openai client', () => {
  it('lists and shows models', async () => {
    const list = await client.models.list()
    expect(list.data.map(model => model.id)).toEqual(['moebius-demo-6m', 'qwen3-30b-a3b-q4_k_m'])
    expect(await client.models.retrieve('DEMO')).toEqual({
      id: 'moebius-demo-6m', object: 'model', created: 1_700_000_000, owned_by: 'moebius', state: 'loaded', max_context_length: 512, arch: 'deepseek2', quant_format: 'F16',
      moe: { n_routed_experts: 32, n_active_experts: 4, n_shared_experts: 1 },
    })
    await expect(client.models.retrieve('moebius-demo-7m')).rejects.toMatchObject({ status: 404, code: 'model_not_found', message: expect.stringContaining('Nearest names: moebius-demo-6m,') })
  })

  it('answers whole', async () => {
    const answer = await ask('hi')
    expect(answer).toMatchObject({
      object: 'chat.completion', model: 'moebius-demo-6m', system_fingerprint: 'moebius-0.1.0',
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'Hello' } }],
      usage: { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15, prompt_tokens_details: { cached_tokens: 4 } },
      timings: { cache_n: 4, prompt_n: 8, prompt_ms: 8, predicted_n: 3, predicted_ms: 6, predicted_per_second: 500 },
    })
    expect(answer.id).toMatch(/^chatcmpl-/)
    expect(answer.choices[0]!.message).not.toHaveProperty('reasoning_content')
    expect((await ask('cut')).choices[0]!.finish_reason).toBe('length')
    expect((await ask('think')).choices[0]!.message).toMatchObject({ content: 'Hello', reasoning_content: 'let me see' })
  })

  it('streams', async () => {
    const chunks = await collect('think', { stream_options: { include_usage: true } })
    expect(new Set(chunks.map(chunk => chunk.id)).size).toBe(1)
    expect(new Set(chunks.map(chunk => chunk.created)).size).toBe(1)
    expect(chunks.map(chunk => chunk.choices[0]?.delta)).toEqual([
      { role: 'assistant', content: '' }, { reasoning_content: 'let me ' }, { reasoning_content: 'see' }, { content: 'Hel' }, { content: 'lo' }, {}, undefined,
    ])
    expect(chunks.slice(0, -1).every(chunk => chunk.usage === null)).toBe(true)
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('stop')
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } } })
    expect((await collect('hi')).every(chunk => !('usage' in chunk))).toBe(true)
  })

  it('works through the client\'s stream helper', async () => {
    const helper = client.chat.completions.stream({ model: 'demo', messages: [{ role: 'user', content: 'hi' }] })
    expect((await helper.finalChatCompletion()).choices[0]!.message.content).toBe('Hello')
  })

  it('passes parameters on under their own names', async () => {
    services.requests.length = 0
    await ask('hi', {
      messages: [{ role: 'developer', content: 'D' }, { role: 'assistant', content: [{ type: 'text', text: 'A' }] }, { role: 'user', content: [{ type: 'text', text: 'b' }, { type: 'text', text: 'c' }], name: 'Ann' }],
      temperature: 0.5, top_p: 0.9, frequency_penalty: 0.25, presence_penalty: -1, logit_bias: { 5: -100 }, seed: 2 ** 32 + 5, stop: ['x', ''], max_completion_tokens: 9,
      n: 1, user: 'u', logprobs: false, response_format: { type: 'json_schema', json_schema: { name: 's', schema: { type: 'object' } } }, reasoning_effort: 'none',
      ...{ top_k: 3, min_p: 0.1, repeat_penalty: 1.1, chat_template_kwargs: { custom: 1 }, reasoning_format: 'none' },
    })
    expect(services.requests[0]).toMatchObject({
      modelId: 'moebius-demo-6m', maxTokens: 9, stop: ['x'], splitReasoning: false, templateVariables: { reasoning_effort: 'none', enable_thinking: false, custom: 1 },
      input: { messages: [{ role: 'system', content: 'D' }, { role: 'assistant', content: 'A' }, { role: 'user', content: 'bc', name: 'Ann' }] },
      sampling: { temperature: 0.5, topP: 0.9, frequencyPenalty: 0.25, presencePenalty: -1, logitBias: [{ token: 5, bias: -100 }], seed: 5, samplingTopK: 3, minP: 0.1, repeatPenalty: 1.1, jsonSchema: '{"type":"object"}' },
    })
  })

  it('continues texts and tokens', async () => {
    services.requests.length = 0
    const whole = await client.completions.create({ model: 'demo', prompt: 'think', max_tokens: 4, temperature: 0.25 })
    expect(whole).toMatchObject({ object: 'text_completion', model: 'moebius-demo-6m', choices: [{ index: 0, text: 'Hello', finish_reason: 'stop', logprobs: null }], usage: { total_tokens: 15 } })
    const chunks: OpenAI.Completion[] = []
    for await (const chunk of await client.completions.create({ model: 'demo', prompt: [1, 2], stream: true, stream_options: { include_usage: true } })) chunks.push(chunk)
    expect(chunks.map(chunk => chunk.choices[0]?.text)).toEqual(['Hel', 'lo', '', undefined])
    expect(chunks.map(chunk => chunk.choices[0]?.finish_reason)).toEqual([null, null, 'stop', undefined])
    expect(chunks.at(-1)!.usage).toMatchObject({ prompt_tokens: 12 })
    await client.completions.create({ model: 'demo', prompt: ['one'] })
    expect(services.requests).toMatchObject([
      { input: { prompt: 'think' }, maxTokens: 4, sampling: { temperature: 0.25 }, splitReasoning: false }, { input: { prompt: [1, 2] }, maxTokens: 0 }, { input: { prompt: 'one' } },
    ])
    await expect(client.completions.create({ model: 'demo', prompt: ['a', 'b'] })).rejects.toMatchObject({ status: 400, param: 'prompt', message: expect.stringContaining('Several prompts') })
    await expect(client.completions.create({ model: 'demo', prompt: 'a', echo: true })).rejects.toMatchObject({ param: 'echo', message: expect.stringContaining('not supported yet') })
    await expect(client.completions.create({ model: 'demo', prompt: 'a', logprobs: 3 })).rejects.toMatchObject({ param: 'logprobs' })
    await expect(client.completions.create({ model: 'demo', prompt: 'a', suffix: 'b' })).rejects.toMatchObject({ param: 'suffix', message: expect.stringContaining('not supported yet') })
    await expect(client.completions.create({ model: 'demo', prompt: 'no memory', stream: true })).rejects.toMatchObject({ status: 500, code: 'e_memory' })
  })

  it('counts a prompt without answering it', async () => {
    expect(await client.post('/chat/completions/input_tokens', { body: { model: 'demo', messages: [{ role: 'user', content: 'twelve chars' }] } })).toEqual({ object: 'response.input_tokens', input_tokens: 12 })
  })

  it('tells failures before the first token by status, streaming or not', async () => {
    const expected: [string, number, Record<string, unknown>][] = [
      ['too long', 400, { code: 'context_length_exceeded', type: 'invalid_request_error', param: 'messages' }],
      ['queue full', 503, { type: 'unavailable_error' }],
      ['no memory', 500, { type: 'server_error', code: 'e_memory' }],
      ['refused', 400, { type: 'invalid_request_error', message: '400 Conversation roles must alternate' }],
      ['fails in prefill', 500, { code: 'e_native' }],
    ]
    for (const [script, status, fields] of expected) {
      await expect(ask(script, { max_tokens: 1024 })).rejects.toMatchObject({ status, ...fields })
      await expect(collect(script, { max_tokens: 1024 })).rejects.toMatchObject({ status, ...fields })
    }
    const error = await ask('too long', { max_tokens: 1024 }).catch((thrown: unknown) => thrown as InstanceType<typeof OpenAI.APIError>)
    expect((error as InstanceType<typeof OpenAI.APIError>).error).toEqual({
      message: 'This model\'s maximum context length is 32768 tokens, but the request has 41210 (prompt 40186 + max_tokens 1024).',
      type: 'invalid_request_error', param: 'messages', code: 'context_length_exceeded', n_prompt_tokens: 40186, n_ctx: 32768,
    })
    await expect(ask('queue full')).rejects.toSatisfy((thrown: InstanceType<typeof OpenAI.APIError>) => thrown.headers?.get('retry-after') === '3')
  })

  it('keeps unexpected details out of the answer and in the log', async () => {
    await expect(ask('bug')).rejects.toMatchObject({ status: 500, code: 'e_internal', message: expect.not.stringContaining('secret') })
    expect(String(failures.at(-1))).toContain('secret detail')
  })

  it('tells later failures in the stream', async () => {
    await expect(collect('fails later')).rejects.toMatchObject({ message: expect.stringContaining('The device went away.') })
    await expect(collect('stopped')).rejects.toMatchObject({ message: expect.stringContaining('stopped by the program') })
  })

  it('keeps a silent connection open with comments', async () => {
    const chunks = await collect('slow prefill')
    expect(chunks.map(chunk => chunk.choices[0]?.delta.content ?? '').join('')).toBe('Hello')
  })

  it('cancels only the request whose client went away', async () => {
    services.requests.length = 0
    services.cancelled.length = 0
    const endless = { model: 'demo', messages: [{ role: 'user' as const, content: 'endless' }], stream: true as const }
    const [first, second] = await Promise.all([client.chat.completions.create(endless), client.chat.completions.create(endless)])
    await readSome(first)
    await expect.poll(() => services.cancelled.length).toBe(1)
    await readSome(second)
    await expect.poll(() => services.cancelled.length).toBe(2)
    expect(new Set(services.cancelled).size).toBe(2)
    await expect.poll(() => log.filter(entry => entry.status === 499).length).toBe(2)
    expect(server.status().activeRequests).toBe(0)
  })

  it('cancels an answer that is not streamed, too', async () => {
    services.cancelled.length = 0
    const controller = new AbortController()
    const answer = client.chat.completions.create({ model: 'demo', messages: [{ role: 'user', content: 'endless' }] }, { signal: controller.signal })
    setTimeout(() => controller.abort(), 30)
    await expect(answer).rejects.toThrow('aborted')
    await expect.poll(() => services.cancelled.length).toBe(1)
  })

  it('logs one line a request', async () => {
    log.length = 0
    await ask('hi')
    expect(log).toHaveLength(1)
    expect(log[0]).toMatchObject({
      method: 'POST', route: '/v1/chat/completions', status: 200, model: 'moebius-demo-6m', promptTokens: 12, cachedTokens: 4, generatedTokens: 3, timeToFirstTokenMs: 9, tokensPerSecond: 500, stopReason: 'stop', tokenName: '',
    })
    expect(JSON.stringify(log[0])).not.toContain('hi"')
  })

  describe('parameters', () => {
    const refused: [string, Record<string, unknown>, RegExp][] = [
      ['n', { n: 2 }, /'n' is not supported yet with the value 2/],
      ['logprobs', { logprobs: true }, /'logprobs' is not supported yet/],
      ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }, /'tools' is not supported yet/],
      ['tool_choice', { tool_choice: 'required' }, /'tool_choice' is not supported yet/],
      ['audio', { audio: { voice: 'x' } }, /'audio' is not supported yet\./],
      ['dry_multiplier', { dry_multiplier: 1 }, /'dry_multiplier' is not supported yet\./],
      ['temprature', { temprature: 1 }, /Unknown parameter 'temprature'\. Did you mean 'temperature'\?/],
      ['temperature', { temperature: 'hot' }, /Invalid 'temperature'/],
      ['temperature', { temperature: -1 }, /Invalid 'temperature'/],
      ['max_tokens', { max_tokens: 0 }, /Invalid 'max_tokens'/],
      ['max_tokens', { max_tokens: 3, max_completion_tokens: 4 }, /same parameter/],
      ['top_k', { top_k: 3, sampling_top_k: 4 }, /same parameter/],
      ['grammar', { grammar: 'root ::= "a"', response_format: { type: 'json_object' } }, /exclude each other/],
      ['messages', { messages: [] }, /Invalid 'messages'/],
      ['messages.0.content', { messages: [{ role: 'user' }] }, /a text is required/],
      ['messages.0.content', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] }, /type 'image_url' are not supported/],
      ['messages.1.role', { messages: [{ role: 'user', content: 'x' }, { role: 'tool', content: 'x', tool_call_id: '1' }] }, /role 'tool' are not supported/],
      ['messages.0.tool_calls', { messages: [{ role: 'assistant', content: null, tool_calls: [{ id: '1' }] }] }, /Tool calls are not supported/],
      ['model', { model: 'nothing-like-it' }, /There is no model 'nothing-like-it' here/],
      ['model', { model: 'broken-file' }, /its file cannot be used/],
    ]
    it.each(refused)('refuses %s %j', async (param, more, message) => {
      await expect(ask('hi', more)).rejects.toMatchObject({ param, message: expect.stringMatching(message) })
    })

    it('takes null for not given', async () => {
      expect((await ask('hi', { temperature: null, max_tokens: null, stop: null, tools: [], tool_choice: 'auto', store: false })).choices[0]!.message.content).toBe('Hello')
    })
  })
})
