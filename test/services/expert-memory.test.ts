// Streamed experts as the services see them: what is remembered, planned, suggested and counted.
import { expect, test } from 'vitest'
import { addExperts, noExperts, rememberedExpertMemory, suggestExpertMemory, withExpertMemory } from '../../electron/services/expert-memory'
import { openWithModel } from './workplace'

const gib = 2 ** 30

test('what a model gets is what the settings name, else the default for models with experts', () => {
  expect(rememberedExpertMemory({ a: 5 }, 'a', 7, 8)).toBe(5)
  expect(rememberedExpertMemory({ a: 5 }, 'b', 7, 8)).toBe(7)
  expect(rememberedExpertMemory({}, 'b', 7, 0)).toBe(0)
  expect(withExpertMemory({ a: 5, b: 6 }, 'a', 8)).toEqual({ a: 8, b: 6 })
  expect(withExpertMemory({ a: 5, b: 6 }, 'a', 0)).toEqual({ b: 6 })
})

test('a suggestion fills what is left, whole MiB, within what makes sense', () => {
  const least = { seqLen: 1, weightsBytes: gib, cacheBytes: gib, scratchBytes: 0, totalBytes: 3 * gib, experts: { memoryBytes: gib, slotsPerLayer: 2, routedExperts: 8, leastBytes: gib, mostBytes: 4 * gib } }
  expect(suggestExpertMemory(least, 4 * gib + 5)).toBe(2 * gib)
  expect(suggestExpertMemory(least, 40 * gib)).toBe(4 * gib)
  expect(suggestExpertMemory(least, 3 * gib)).toBe(gib)
  expect(suggestExpertMemory(least, 3 * gib - 1)).toBeUndefined()
  expect(suggestExpertMemory({ ...least, experts: undefined } as never, 9 * gib)).toBeUndefined()
})

test('counters of several runs add up', () => {
  const at = (n: number): typeof noExperts => ({ memoryBytes: 9, slotsPerLayer: 3, hits: n, misses: 2 * n, bytesRead: 3 * n, readMs: 4 * n, waitMs: 5 * n })
  expect(addExperts(addExperts(noExperts, at(1), at(3)), at(10), at(11))).toEqual(at(3))
})

test('a model that does not fit is refused with the expert memory that would do, and streams with it', async () => {
  const { engine, models, settings } = await openWithModel({ weightsBytes: 10 * gib, memory: { totalBytes: 16e9, availableBytes: 6 * gib, processBytes: 1 } })
  const plan = await models.estimate('tiny', 512)
  const suggested = plan.experts?.suggestedBytes ?? 0
  expect(plan).toMatchObject({ fits: false, experts: { memoryBytes: 0, slotsPerLayer: 0, routedExperts: 8, leastBytes: 2.25 * gib, mostBytes: 9 * gib } })
  expect(suggested).toBeGreaterThan(4.5 * gib)
  expect(suggested).toBeLessThan(4.75 * gib)
  await expect(models.load('tiny')).rejects.toMatchObject({ code: 'E_MEMORY', hint: expect.stringContaining('Stream its experts with') as string, detail: { suggestedExpertMemory: suggested } })
  expect(await models.estimate('tiny', 512, suggested)).toMatchObject({ fits: true, weightsBytes: gib, experts: { slotsPerLayer: 4, memoryBytes: 4.5 * gib } })
  await models.load('tiny', { expertMemory: suggested })
  expect(engine.loadOptions.map(({ expertMemory }) => expertMemory)).toEqual([suggested])
  expect(models.status().loaded[0]).toMatchObject({ weightsBytes: 5.5 * gib, experts: { hits: 30, misses: 10, bytesRead: 1e6 } })
  // Another memory is another load; the same, or none named, is not.
  await models.load('tiny', { expertMemory: suggested })
  await models.load('tiny')
  expect(engine.loads.length).toBe(1)
  await models.load('tiny', { expertMemory: 3 * gib })
  expect(engine.loadOptions.map(({ expertMemory }) => expertMemory)).toEqual([suggested, 3 * gib])
  // Whoever loads by themselves later goes by the settings.
  await models.unload('tiny')
  settings.update({ expertMemory: { tiny: 4 * gib } })
  await models.load('tiny')
  expect(engine.loadOptions.at(-1)?.expertMemory).toBe(4 * gib)
  await expect(models.load('tiny', { expertMemory: 5 })).rejects.toMatchObject({ code: 'E_MEMORY', message: expect.stringContaining('at least') as string })
})

test('a model that fits is mapped, and there is nothing to stream in a dense one', async () => {
  const { engine, models } = await openWithModel()
  expect((await models.estimate('tiny', 512)).experts).not.toHaveProperty('suggestedBytes')
  await models.load('tiny')
  expect(engine.loadOptions.map(({ expertMemory }) => expertMemory)).toEqual([0])
  expect(models.status().loaded[0]).not.toHaveProperty('experts')
  const dense = await openWithModel({ dense: true, weightsBytes: 90e9 })
  expect(await dense.models.estimate('tiny', 512)).not.toHaveProperty('experts')
  await expect(dense.models.load('tiny')).rejects.toMatchObject({ code: 'E_MEMORY', hint: expect.not.stringContaining('Stream') as string })
})
