// moebius bench: several sessions in one batch, and what the routing trace costs.
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createNativeEngine } from '../../electron/engine/native'
import { findAddon } from '../../electron/engine/native-addon'
import type { BenchmarkRecord } from '../../electron/services/benchmark'
import { cli, json } from './run-cli'
import { TinyEngine, tinyCard } from './tiny-engine'

const demo = resolve('resources/models/moebius-demo-6m.gguf')
const records = async (engine: Parameters<typeof cli>[0], ...argv: string[]): Promise<BenchmarkRecord[]> => json(await cli(engine, ['bench', ...argv, '--json'])) as BenchmarkRecord[]

it('says of every test whether prompt attention was approximate', async () => {
  const plain = await records(new TinyEngine(), 'm', '-p', '8', '-n', '4', '-r', '1')
  expect(plain.map(record => record.prompt_attention)).toEqual(['f32', 'f32'])
  const table = await cli(new TinyEngine(), ['bench', 'm', '-p', '8', '-n', '4', '-r', '1', '--bf16-attention'])
  expect(table.out).toMatch(/\| pp8 bf16 \|/)
})

describe('bench --sessions', () => {
  it('runs each number of sessions in turn with one, and adds their tokens up', async () => {
    const engine = new TinyEngine()
    const found = await records(engine, 'm', '-p', '8', '-n', '5', '-d', '3', '-r', '2', '--sessions', '1,2,4')
    expect(found.map(({ n_prompt, n_gen, n_depth, n_sessions }) => [n_prompt, n_gen, n_depth, n_sessions])).toEqual([[8, 0, 3, 1], [0, 5, 3, 1], [0, 5, 3, 2], [0, 5, 3, 4]])
    const [, one, two, four] = found
    // The tiny engine takes 20 ms for any answer: two sessions are twice as fast as one.
    expect(one).toMatchObject({ avg_ts: 250 })
    expect(one).not.toHaveProperty('times_one_session')
    expect(two).toMatchObject({ avg_ts: 500, times_one_session: 2, times_one_session_low: 2, times_one_session_high: 2 })
    expect(four).toMatchObject({ avg_ts: 1000, samples_ts: [1000, 1000], times_one_session: 4 })
    expect([engine.closed, engine.sessions]).toEqual([1, 0])
  })

  it('reads the experts that more sessions choose, and the rest of the weights once', async () => {
    const experts = 8000
    const engine = new TinyEngine({ expertBytes: experts })
    const [one, two] = await records(engine, 'm', '-p', '0', '-n', '4', '-r', '1', '--sessions', '2')
    const { bytesPerToken } = tinyCard()
    const cache = 3.5 * 1000
    expect(one?.limit_per_token).toBe(bytesPerToken + cache)
    // 2 of 8 experts: two sessions together hit 1 - (3/4)² of them.
    expect(two?.limit_per_token).toBe((bytesPerToken + experts * (7 / 16 - 1 / 4)) / 2 + cache)
  })

  it('names the tests like tg4x2 and adds a column, in each form', async () => {
    const table = await cli(new TinyEngine(), ['bench', 'm', '-p', '0', '-n', '4', '-d', '3', '-r', '1', '--sessions', '2'])
    expect(table.out).toMatch(/\| tg4x2 @ d3 \| 400\.00 ± 0\.00 \|.*\| 2\.00x one session \(2\.00 … 2\.00\) \|$/m)
    const csv = (await cli(new TinyEngine(), ['bench', 'm', '-p', '0', '-n', '4', '-r', '1', '--sessions', '2', '-o', 'csv'])).out.split('\n')
    const column = csv[0]!.split(',').indexOf('times_one_session')
    expect(csv.slice(1, 3).map(line => line.split(',')[column])).toEqual(['""', '"2"'])
  })

  it('refuses what makes no sense', async () => {
    for (const argv of [['--sessions', '0'], ['--sessions', '257'], ['--sessions', 'two'], ['--sessions', '2', '--trace']]) {
      expect(await cli(new TinyEngine(), ['bench', 'm', ...argv])).toMatchObject({ code: 2, out: '' })
    }
  })

  it.runIf(findAddon() !== undefined)('decodes them in one batch on the real engine', async () => {
    const found = await records(createNativeEngine(), demo, '-t', '1', '-p', '0', '-n', '12', '-d', '16', '-r', '1', '--sessions', '3')
    expect(found.map(record => record.n_sessions)).toEqual([1, 3])
    expect(found[1]!.times_one_session).toBeGreaterThan(0.2)
    const long = await cli(createNativeEngine(), ['bench', demo, '-t', '1', '-p', '0', '-n', '12', '-d', '500', '-r', '1', '--sessions', '2'])
    expect(long).toMatchObject({ code: 1, out: '' })
    expect(long.error).toContain('while 2 sessions decode')
  })
})

describe('bench --trace', () => {
  it('takes turns with the routing trace off and on', async () => {
    const engine = new TinyEngine()
    const found = await records(engine, 'm', '-p', '8', '-n', '5', '-r', '3', '--trace')
    expect(found.length).toBe(2)
    for (const record of found) {
      expect(record).toMatchObject({ n_sessions: 1, trace_cost_percent: 0, trace_cost_percent_low: 0, trace_cost_percent_high: 0, untraced_ts: record.avg_ts })
      expect(record.samples_untraced_ts?.length).toBe(3)
    }
    // One warm-up and three rounds of each test, every other one backwards.
    const rounds = [false, true, true, false, false, true, true, false]
    expect(engine.watched).toEqual([...rounds, ...rounds])
    expect((await records(engine, 'm', '-p', '0', '-n', '2', '--trace'))[0]!.samples_ts.length).toBe(20)
    expect((await cli(engine, ['bench', 'm', '-p', '0', '-n', '2', '-r', '1', '--trace'])).out).toMatch(/\| trace costs 0\.0 % \(0\.0 … 0\.0\) \|$/m)
  })

  it('has nothing to say of dense models', async () => {
    expect(await cli(new TinyEngine({ dense: true }), ['bench', 'm', '--trace'])).toMatchObject({ code: 1, out: '', error: expect.stringContaining('no routing to trace') as string })
  })

  it.runIf(findAddon() !== undefined)('measures the real engine', async () => {
    const [pp, tg] = await records(createNativeEngine(), demo, '-t', '1', '-p', '32', '-n', '8', '-r', '2', '--trace')
    for (const record of [pp!, tg!]) {
      expect(Number.isFinite(record.trace_cost_percent)).toBe(true)
      expect(record.trace_cost_percent_low).toBeLessThanOrEqual(record.trace_cost_percent_high!)
    }
  })
})
