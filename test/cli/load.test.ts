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
