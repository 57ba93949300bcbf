import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Thresholds } from '../../electron/contract'
import type { ModelHandle } from '../../native/addon'
import { createEngine, rawAddon } from './support'

describe('calibrate', () => {
  it('measures the level in use with the threads asked for, and tells its progress', async () => {
    const engine = createEngine()
    const fractions: number[] = []
    const startedAt = performance.now()
    const peaks = await engine.calibrate({ threads: 1, onProgress: fraction => { fractions.push(fraction) } })
    expect(peaks).toMatchObject({ cpuLevel: engine.info().cpuLevel, cpuBrand: engine.info().backends[0]!.device, threads: 1 })
    for (const value of [peaks.readBytesPerSecond, peaks.int8OperationsPerSecond, peaks.f32OperationsPerSecond]) {
      expect(value).toBeGreaterThan(1e8)
      expect(value).toBeLessThan(1e14)
    }
    // On ARM an extension of its own, beside the levels.
    if (peaks.cpuLevel !== 'neon_i8mm') expect(peaks.bf16OperationsPerSecond > 0).toBe(['avx512_bf16', 'amx'].includes(peaks.cpuLevel))
    const { tileColumns, mlaAbsorbedCost, mlaHistory } = Thresholds.parse(peaks.thresholds)
    expect(Object.keys(tileColumns)).toEqual(expect.arrayContaining(['F32', 'F16', 'BF16', 'Q4_K', 'Q8_0', 'IQ2_XXS', 'MXFP4', 'NVFP4']))
    expect(mlaHistory).toBe(4096)
    expect(mlaAbsorbedCost).toBeGreaterThan(0)
    expect(peaks.durationMs).toBeLessThan(performance.now() - startedAt + 50)
    expect(fractions.at(-1)).toBe(1)
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
    // The buffer it read is given back.
    expect(engine.memory().processBytes).toBeLessThan(process.memoryUsage.rss() + 64 * 2 ** 20)
  })

  it('stops within a fraction of a second', async () => {
    const engine = createEngine()
    await expect(engine.calibrate({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'E_CANCELLED' })
    const abort = new AbortController()
    let stoppedAt = 0
    const measuring = engine.calibrate({
      signal: abort.signal,
      onProgress: () => {
        stoppedAt ||= performance.now()
        abort.abort()
      },
    })
    await expect(measuring).rejects.toMatchObject({ code: 'E_CANCELLED' })
    expect(performance.now() - stoppedAt).toBeLessThan(2000)
  })

  it('gives thresholds that a load takes, and a load refuses those that are none', async () => {
    const addon = rawAddon()
    const path = resolve('resources/models/moebius-demo-6m.gguf')
    const { thresholds } = await addon.calibrate(1)
    const { tileColumns, mlaAbsorbedCost } = thresholds
    const load = (given: unknown): Promise<ModelHandle> => new Promise(done => done(addon.loadModel(path, { thresholds: given as Thresholds })))
    await addon.closeModel(await load({ tileColumns, mlaAbsorbedCost }))
    await addon.closeModel(await load({ tileColumns: {}, mlaAbsorbedCost: 1 }))
    for (const [given, message] of [
      [{ tileColumns: { Q4_K: 0 }, mlaAbsorbedCost: 1 }, 'options.thresholds.tileColumns.Q4_K'],
      [{ tileColumns: { Q4_K: 129 }, mlaAbsorbedCost: 1 }, '128'],
      [{ tileColumns: { Q4_K: 2.5 }, mlaAbsorbedCost: 1 }, 'Q4_K'],
      [{ tileColumns: { Q9_K: 3 }, mlaAbsorbedCost: 1 }, 'Q9_K'],
      [{ tileColumns: 3, mlaAbsorbedCost: 1 }, 'options.thresholds.tileColumns'],
      [{ tileColumns: {} }, 'mlaAbsorbedCost'],
      [{ tileColumns: {}, mlaAbsorbedCost: 5 }, 'mlaAbsorbedCost'],
      [{ tileColumns: {}, mlaAbsorbedCost: Number.NaN }, 'mlaAbsorbedCost'],
      [{ tileColumns: {}, mlaAbsorbedCost: 1, mlaHistory: 4096 }, 'mlaHistory'],
      [7, 'options.thresholds'],
    ] as const) {
      await expect(load(given), JSON.stringify(given)).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringContaining(message) as string })
    }
  })

  it('refuses wrong arguments', () => {
    const addon = rawAddon()
    expect(() => addon.calibrate(-1)).toThrow(expect.objectContaining({ code: 'E_BAD_REQUEST', message: expect.stringContaining('threads') }))
    expect(() => addon.calibrate(1.5)).toThrow(expect.objectContaining({ code: 'E_BAD_REQUEST' }))
    expect(() => addon.calibrate(1, 'x' as never)).toThrow(expect.objectContaining({ code: 'E_BAD_REQUEST', message: expect.stringContaining('onProgress') }))
  })
})
