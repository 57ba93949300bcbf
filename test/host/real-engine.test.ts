// Services over the real engine and the built-in model, when the addon is built.
import { resolve } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { decodeRoutingFrame } from '../../electron/contract'
import { createNativeEngine } from '../../electron/engine/native'
import { findAddon } from '../../electron/engine/native-addon'
import { createHost, type Host } from '../../electron/host/compose'
import { temporaryFolder, until } from '../services/workplace'

const addon = findAddon()
const reason = addon === undefined ? ' (skipped: the addon is not built)' : ''
const modelId = 'moebius-demo-6m'
const cleanUp: (() => Promise<void>)[] = []
afterEach(async () => { for (const act of cleanUp.splice(0)) await act() })

async function openHost(): Promise<Host> {
  const host = createHost(createNativeEngine(), { kind: 'serve', dataDir: temporaryFolder(), holder: { pid: process.pid }, builtInModel: resolve('resources/models/moebius-demo-6m.gguf') })
  cleanUp.push(() => host.close())
  await host.start()
  return host
}
const ask = (content: string): { modelId: string, messages: { role: string, content: string }[], sampling: { temperature: number, seed: number } } =>
  ({ modelId, messages: [{ role: 'user', content }], sampling: { temperature: 0, seed: 1 } })

describe.skipIf(addon === undefined)(`real engine${reason}`, () => {
  test('parallel requests get the answers they would get alone', async () => {
    const { services: { inference } } = await openHost()
    const questions = ['Tell me a short story.', 'What is 12 * 3?', 'Who is Ben?', 'Tell me of the sea.', 'What is 7 + 9?']
    const alone: string[] = []
    for (const question of questions) alone.push((await inference.generate({ ...ask(question), maxTokens: 40 })).content)
    const together = await Promise.all(questions.map(question => inference.generate({ ...ask(question), maxTokens: 40 })))
    expect(together.map(({ content }) => content)).toEqual(alone)
    expect(alone.every(content => content.length > 0)).toBe(true)
  })

  test('the next turn is not computed from its start again, and every token is routed once', async () => {
    const { services: { inference, routingTraces } } = await openHost()
    let nTokens = 0
    routingTraces.view(modelId, bytes => {
      nTokens += decodeRoutingFrame(bytes)?.nTokens ?? 0
      return Promise.resolve()
    })
    const first = await inference.generate({ ...ask('Tell me a short story.'), maxTokens: 30, owner: 'a' })
    // The last token is chosen, but may never be computed.
    await until(() => nTokens >= first.stats.promptTokens + first.stats.generatedTokens - 1, 'every token was routed')
    expect(nTokens).toBeLessThanOrEqual(first.stats.promptTokens + first.stats.generatedTokens)
    const messages = [{ role: 'user', content: 'Tell me a short story.' }, { role: 'assistant', content: first.content }, { role: 'user', content: 'Another.' }]
    const second = await inference.generate({ modelId, messages, maxTokens: 5, owner: 'a' })
    expect(second.stats.cachedTokens).toBeGreaterThanOrEqual(first.stats.promptTokens)
  })

  test('a cancel is answered within 200 ms, and unloading ends what runs', async () => {
    const { services: { inference, models } } = await openHost()
    const abort = new AbortController()
    let cancelledAt = 0
    let seen = 0
    const cancelled = await inference.generate({ ...ask('Tell me a long story.'), ignoreEndOfGeneration: true, signal: abort.signal }, {
      onToken: () => {
        if (++seen !== 10) return
        cancelledAt = performance.now()
        abort.abort()
      },
    })
    expect(performance.now() - cancelledAt).toBeLessThan(200)
    expect(cancelled.stats.stopReason).toBe('cancelled')
    let started = (): void => {}
    const running = new Promise<void>(resolve => { started = resolve })
    const outcome = inference.generate({ ...ask('Tell me a long story.'), ignoreEndOfGeneration: true }, { onToken: () => started() })
    await running
    await models.unload(modelId)
    expect((await outcome).stats.stopReason).toBe('cancelled')
    expect(models.status().loaded).toEqual([])
  })
})
