// What the command line says and asks while a model loads.
import { expect, it } from 'vitest'
import { cli } from './run-cli'
import { TinyEngine } from './tiny-engine'

const run = ['run', 'm', '-p', 'x', '-n', '2']

it('shows people how far the load is and how fast, and takes the line away', async () => {
  const { error } = await cli(new TinyEngine(), run, { interactive: true })
  expect(error).toContain('\rloading 50 %, 1.00 GiB of 2.00 GiB, 850 MB/s\u001b[K\r\u001b[K')
  expect((await cli(new TinyEngine(), run)).error).not.toContain('loading')
})

it('reads the weights in as asked, and says when they do not fit', async () => {
  const engine = new TinyEngine()
  for (const touch of ['auto', 'yes', 'no']) await cli(engine, [...run, '--touch', touch])
  await cli(engine, ['bench', 'm', '-p', '4', '-n', '0', '-r', '1', '--touch', 'no'])
  await cli(engine, run)
  expect(engine.loads.map(({ options }) => options?.touch)).toEqual(['auto', 'yes', 'no', 'no', 'auto'])
  expect(await cli(engine, [...run, '--touch', 'maybe'])).toMatchObject({ code: 2, error: expect.stringContaining("--touch takes auto, yes, no, not 'maybe'") as string })
  engine.available = 5e6
  expect((await cli(engine, run)).error).toContain('larger than the memory available')
  expect((await cli(engine, [...run, '--touch', 'no'])).error).not.toContain('larger than')
})

it('streams experts with the memory given, and says how they fared', async () => {
  const engine = new TinyEngine()
  const streamed = await cli(engine, [...run, '--expert-memory', '3GiB'])
  expect(streamed).toMatchObject({ code: 0, error: expect.stringContaining('experts: 75.0 % of 40 in memory, 1.00 GiB read at 2.1 GB/s, 120 ms waited') as string })
  expect(JSON.parse((await cli(engine, [...run, '--expert-memory', '1.5 gb', '--json'])).out)).toMatchObject({ stats: { experts: { slotsPerLayer: 4, hits: 30, misses: 10, waitMs: 120 } } })
  expect(JSON.parse((await cli(engine, ['bench', 'm', '-p', '4', '-n', '0', '-r', '1', '--expert-memory', '4096', '--json'])).out))
    .toMatchObject([{ expert_memory: 3 * 2 ** 30, expert_slots: 4, expert_hits: 0, expert_misses: 0, expert_bytes_read: 0 }])
  expect(engine.loads.map(({ options }) => options?.expertMemory)).toEqual([3 * 2 ** 30, 1.5e9, 4096])
  expect((await cli(engine, run)).error).not.toContain('experts:')
  for (const size of ['8 apples', '-1', '', '99999TiB'])
    expect(await cli(engine, [...run, `--expert-memory=${size}`])).toMatchObject({ code: 2, error: expect.stringContaining('--expert-memory takes a size such as 8GiB') as string })
})
