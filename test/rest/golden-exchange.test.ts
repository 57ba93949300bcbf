// The bytes of a streamed answer, as clients parse them: order, framing, headers.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRestServer, type RestServer } from '../../electron/rest'
import { FakeServices } from './fake-services'
import { post, type RawResponse } from './raw-http'

let server: RestServer
let port: number

beforeAll(async () => {
  server = createRestServer(new FakeServices(), { port: 0, version: '1.2.3', keepAliveMs: 30 })
  port = (await server.start()).port
})
afterAll(() => server.stop())

function ask(content: string, more: Record<string, unknown> = {}): Promise<RawResponse> {
  return post(port, '/v1/chat/completions', { model: 'demo', messages: [{ role: 'user', content }], stream: true, ...more })
}

// Numbers that differ between runs are replaced by their names.
function fixed(text: string): string {
  return text.replace(/chatcmpl-[0-9a-f]{32}/g, 'ID').replace(/"created":\d+/g, '"created":CREATED').replace(/"time_ms":\d+/g, '"time_ms":MS')
}

const base = '"id":"ID","object":"chat.completion.chunk","created":CREATED,"model":"moebius-demo-6m","system_fingerprint":"moebius-1.2.3"'
const timings = '"timings":{"cache_n":4,"prompt_n":8,"prompt_ms":8,"prompt_per_second":1000,"predicted_n":3,"predicted_ms":6,"predicted_per_second":500}'
const chunk = (delta: string, finish = 'null', tail = ''): string => `data: {${base},"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}]${tail}}\n\n`

it('streams in the documented order', async () => {
  const { status, headers, text } = await ask('think')
  expect(status).toBe(200)
  expect(headers).toMatchObject({ 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
  expect(fixed(text)).toBe(
    chunk('{"role":"assistant","content":""}') + chunk('{"reasoning_content":"let me "}') + chunk('{"reasoning_content":"see"}') + chunk('{"content":"Hel"}') + chunk('{"content":"lo"}')
    + chunk('{}', '"stop"', `,${timings}`) + 'data: [DONE]\n\n')
})

it('adds a usage chunk when asked', async () => {
  const { text } = await ask('cut', { stream_options: { include_usage: true } })
  const none = ',"usage":null'
  expect(fixed(text)).toBe(
    chunk('{"role":"assistant","content":""}', 'null', none) + chunk('{"content":"Hel"}', 'null', none) + chunk('{"content":"lo"}', 'null', none) + chunk('{}', '"length"', `${none},${timings}`)
    + `data: {${base},"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}}\n\n` + 'data: [DONE]\n\n')
})

it('reports the prompt\'s progress when asked', async () => {
  const { text } = await ask('hi', { return_progress: true })
  expect(fixed(text).split('\n\n').slice(0, 2).join('\n\n') + '\n\n').toBe(
    chunk('{"role":"assistant","content":""}') + chunk('{}', 'null', ',"prompt_progress":{"total":12,"cache":4,"processed":12,"time_ms":MS}'))
})

it('pings while nothing else is to be said', async () => {
  const { text } = await ask('slow prefill')
  expect(text).toMatch(/^(: ping\n\n)+data: \{.*"role":"assistant"/)
  expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
})

it('ends with the error, without [DONE], when it fails on the way', async () => {
  const { status, text } = await ask('fails later')
  expect(status).toBe(200)
  expect(fixed(text)).toBe(
    chunk('{"role":"assistant","content":""}') + chunk('{"content":"Hel"}')
    + 'data: {"error":{"message":"The device went away.","type":"server_error","param":null,"code":"e_device_lost","hint":"Load the model again."}}\n\n')
})

it('names the reasoning field as asked', async () => {
  expect((await ask('think', { reasoning_format: 'openai' })).text).toContain('"delta":{"reasoning":"let me "}')
  expect((await ask('think', { stream: false, reasoning_format: 'openai' })).text).toContain('"reasoning":"let me see"')
})
