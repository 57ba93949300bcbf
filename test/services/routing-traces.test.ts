import { expect, test } from 'vitest'
import { decodeRoutingFrame, type RoutingFrame } from '../../electron/contract'
import { openWithModel } from './workplace'

const ask = (content: string, owner: string): { modelId: string, messages: { role: string, content: string }[], owner: string } =>
  ({ modelId: 'tiny', messages: [{ role: 'user', content }], owner })

test('frames account for every token once, and begin anew with another conversation', async () => {
  const { inference, routingTraces } = await openWithModel({ tokenDelayMs: 10, answer: () => 'word '.repeat(30) })
  const frames: RoutingFrame[] = []
  const off = routingTraces.view('tiny', bytes => { const frame = decodeRoutingFrame(bytes); if (frame) frames.push(frame); return Promise.resolve() })
  const other: unknown[] = []
  routingTraces.view('another', bytes => { other.push(bytes); return Promise.resolve() })
  const { stats } = await inference.generate(ask('one', 'a'))
  expect(frames[0]).toMatchObject({ kind: 'reset', epoch: 1, nLayers: 4, nRoutedExperts: 8, nActiveExperts: 2, firstMoeLayer: 1 })
  expect(frames.length).toBeGreaterThan(3)
  const nTokens = frames.reduce((sum, frame) => sum + frame.nTokens, 0)
  expect(nTokens).toBe(stats.promptTokens + stats.generatedTokens)
  expect(frames.reduce((sum, { count }) => sum + count.reduce((a, b) => a + b, 0), 0)).toBe(nTokens * 4 * 2)
  const before = frames.length
  await inference.generate(ask('one', 'a'))
  expect(frames[before]?.kind).toBe('aggregate')
  const between = frames.length
  await inference.generate(ask('two', 'b'))
  expect(frames[between]).toMatchObject({ kind: 'reset', epoch: 1 })
  expect(other).toEqual([])
  off()
})

test('nothing is drained while nobody looks', async () => {
  const { inference, routingTraces, engine } = await openWithModel({ tokenDelayMs: 5, answer: () => 'word '.repeat(40) })
  await inference.generate(ask('one', 'a'))
  expect(engine.sessions[0]?.nDrains).toBe(0)
  const frames: RoutingFrame[] = []
  const off = routingTraces.view(undefined, bytes => { const frame = decodeRoutingFrame(bytes); if (frame) frames.push(frame); return Promise.resolve() })
  const { stats } = await inference.generate(ask('two', 'a'))
  // What ran before somebody looked is not counted.
  expect(frames.reduce((sum, frame) => sum + frame.nTokens, 0)).toBe(stats.promptTokens - stats.cachedTokens + stats.generatedTokens)
  off()
  const drains = engine.sessions[0]?.nDrains
  await inference.generate(ask('three', 'a'))
  expect(engine.sessions[0]?.nDrains).toBe(drains)
})

test('a viewer that reads slowly gets fewer frames, not fewer tokens', async () => {
  const { inference, routingTraces } = await openWithModel({ tokenDelayMs: 10, answer: () => 'word '.repeat(60) })
  const frames: RoutingFrame[] = []
  const off = routingTraces.view(undefined, async bytes => {
    const frame = decodeRoutingFrame(bytes)
    if (frame) frames.push(frame)
    await new Promise(resolve => { setTimeout(resolve, 300) })
  })
  const { stats } = await inference.generate(ask('one', 'a'))
  await new Promise(resolve => { setTimeout(resolve, 700) })
  off()
  const nTokens = stats.promptTokens + stats.generatedTokens
  expect(frames.length).toBeLessThan(7)
  expect(frames.reduce((sum, frame) => sum + frame.nTokens, 0)).toBe(nTokens)
  expect(frames.reduce((sum, { count }) => sum + count.reduce((a, b) => a + b, 0), 0)).toBe(nTokens * 4 * 2)
})

test('dense models send nothing', async () => {
  const { inference, routingTraces } = await openWithModel({ dense: true })
  const frames: unknown[] = []
  routingTraces.view('tiny', bytes => { frames.push(bytes); return Promise.resolve() })
  await inference.generate(ask('one', 'a'))
  expect(frames).toEqual([])
})
