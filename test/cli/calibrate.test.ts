// Measuring the machine from the command line, and the shares of its limits that bench prints.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createNativeEngine } from '../../electron/engine/native'
import { findAddon } from '../../electron/engine/native-addon'
import type { BenchmarkRecord } from '../../electron/services/benchmark'
import { readCalibration } from '../../electron/services/calibration-store'
import { openStorage } from '../../electron/services/storage'
import { cli, json } from './run-cli'
import { TinyEngine, tinyCard } from './tiny-engine'

describe('moebius calibrate', () => {
  it('writes the measured peaks for people and for programs', async () => {
    const text = await cli(new TinyEngine(), ['calibrate', '-t', '3'])
    expect(text.code).toBe(0)
    expect(text.out).toMatch(/^processor +Tiny CPU, reference, 3 threads$/m)
    expect(text.out).toMatch(/^read bandwidth +2\.0 GB\/s$/m)
    expect(text.out).toMatch(/^int8 dot +4\.0 GOP\/s$/m)
    expect(text.out).toMatch(/^bf16 dot +not at this level$/m)
    expect(json(await cli(new TinyEngine(), ['calibrate', '--json']))).toMatchObject({ threads: 1, readBytesPerSecond: 2e9, int8OperationsPerSecond: 4e9 })
    expect(await cli(new TinyEngine(), ['calibrate', 'model'])).toMatchObject({ code: 2, out: '' })
    expect(await cli(new TinyEngine(), ['calibrate', '--threads', '0'])).toMatchObject({ code: 2, out: '' })
  })

  it('writes the thresholds, and keeps them for the loads that follow', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'moebius-calibrate-'))
    try {
      const engine = new TinyEngine()
      const places = { builtInModel: 'm', database: join(folder, 'data', 'moebius.sqlite') }
      const run = (...argv: string[]): ReturnType<typeof cli> => cli(engine, argv, { places })
      const demo = resolve('resources/models/moebius-demo-6m.gguf')
      const thresholds = { tileColumns: { F32: 12, F16: 32, Q4_K: 8, Q6_K: 8, IQ3_S: 5 }, mlaAbsorbedCost: 1.8, mlaExpandsFrom: 78, mlaHistory: 4096 }
      expect((await run('run', demo, '-p', 'x', '-n', '1', '--json')).code).toBe(0)
      const text = await run('calibrate')
      expect(text).toMatchObject({ code: 0, error: '' })
      expect(text.out).toMatch(/^prefill tiles +from 5 columns: IQ3_S\n +from 8 columns: Q4_K, Q6_K\n +from 12 columns: F32\n +from 32 columns: F16$/m)
      expect(text.out).toMatch(/^MLA expands keys +from 78 prompt tokens behind 4096, an absorbed multiply-add costs 1\.80$/m)
      expect((await run('run', demo, '-p', 'x', '-n', '1', '--json')).code).toBe(0)
      expect((await run('run', demo, '-p', 'x', '-n', '1', '--threads', '3', '--json')).code).toBe(0)
      expect(engine.loads.map(({ options }) => options?.thresholds)).toEqual([undefined, thresholds, undefined])
      // The host finds the same row.
      const db = openStorage(places.database)
      expect(readCalibration(db, engine, 0)).toMatchObject({ readBytesPerSecond: 2e9, engineVersion: '0', thresholds })
      db.close()
      expect(json(await run('calibrate', '-t', '3', '--json'))).toMatchObject({ threads: 3, thresholds })
      expect((await run('run', demo, '-p', 'x', '-n', '1', '--threads', '3', '--json')).code).toBe(0)
      expect(engine.loads.at(-1)?.options?.thresholds).toEqual(thresholds)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('still tells what it measured when that cannot be kept', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'moebius-calibrate-'))
    try {
      const places = { builtInModel: 'm', database: join(folder, 'moebius.sqlite') }
      writeFileSync(places.database, 'no database at all, but some text that is long enough to be looked at')
      const text = await cli(new TinyEngine(), ['calibrate'], { places })
      expect(text.code).toBe(0)
      expect(text.out).toContain('read bandwidth')
      expect(text.error).toMatch(/was not kept for later loads: .*database/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it.runIf(findAddon() !== undefined)('stops when it is interrupted', async () => {
    const result = await cli(createNativeEngine(), ['calibrate'], { signal: AbortSignal.timeout(100) })
    expect(result).toMatchObject({ code: 130, out: '' })
  })
})

describe('moebius bench', () => {
  const { bytesPerToken, parametersActive, vocabSize, embeddingLength } = tinyCard()

  it('tells each speed as a share of the measured limit', async () => {
    const [pp, tg] = json(await cli(new TinyEngine(), ['bench', 'm', '-p', '16', '-n', '9', '-d', '5', '-r', '2', '--json'])) as [BenchmarkRecord, BenchmarkRecord]
    // The weights are F16, so prompts are computed in float.
    expect(pp).toMatchObject({ n_prompt: 16, limit: 'f32_peak', limit_per_second: 1e9, limit_per_token: 2 * (parametersActive - vocabSize * embeddingLength) })
    // 5 tokens deep, the 9 generated ones see 10 on average, of 1000 bytes each.
    expect(tg).toMatchObject({ n_gen: 9, limit: 'read_bandwidth', limit_per_second: 2e9, limit_per_token: bytesPerToken + 10_000 })
    for (const record of [pp, tg]) {
      expect(record.limit_percent).toBeCloseTo(100 * record.avg_ts * record.limit_per_token / record.limit_per_second, 6)
      expect(record.limit_percent).toBeGreaterThan(0)
    }
  })

  it('writes no speed of a test that was interrupted', async () => {
    const abort = new AbortController()
    const engine = new TinyEngine({ onToken: count => { if (count === 5) abort.abort() } })
    expect(await cli(engine, ['bench', 'm', '-p', '0', '-n', '20', '-r', '2', '--json'], { signal: abort.signal })).toMatchObject({ code: 130, out: '' })
    expect([engine.closed, engine.sessions]).toEqual([1, 0])
  })

  it.runIf(findAddon() !== undefined)('runs tests as long as the context, and says when they are longer', async () => {
    const demo = resolve('resources/models/moebius-demo-6m.gguf')
    const [pp] = json(await cli(createNativeEngine(), ['bench', demo, '-p', '512', '-n', '0', '-r', '1', '--json'])) as [BenchmarkRecord]
    expect(pp.n_prompt).toBe(512)
    expect(pp.limit_percent).toBeGreaterThan(0)
    const long = await cli(createNativeEngine(), ['bench', demo, '-p', '0', '-n', '512', '-r', '1'])
    expect(long).toMatchObject({ code: 1, out: '' })
    expect(long.error).toContain('do not fit this model\'s context of 512')
  })

  it('divides the prompts of quantised models by the int8 peak, unless activations stay exact', async () => {
    const engine = new TinyEngine({ quantFormat: 'Q4_K' })
    const limitOf = async (...argv: string[]): Promise<unknown> => (json(await cli(engine, ['bench', 'm', '-p', '4', '-n', '0', '-r', '1', '--json', ...argv])) as [BenchmarkRecord])[0]
    expect(await limitOf()).toMatchObject({ limit: 'int8_peak', limit_per_second: 4e9 })
    expect(await limitOf('--exact')).toMatchObject({ limit: 'f32_peak', limit_per_second: 1e9 })
    const table = await cli(engine, ['bench', 'm', '-p', '4', '-n', '2', '-r', '1'])
    expect(table.out).toMatch(/^\| model \|.*\| t\/s \| of the measured limit \|$/m)
    expect(table.out).toMatch(/\| pp4 \| [\d.]+ ± [\d.]+ \| [\d.]+ % of 4 GOP\/s int8 \|/)
    expect(table.out).toMatch(/\| tg2 \| [\d.]+ ± [\d.]+ \| [\d.]+ % of 2\.0 GB\/s read \|/)
  })
})
