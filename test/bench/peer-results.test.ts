import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { median, orderOf, peerCommand, readArguments, speedsOf, splitWords, tables, testName } from './peer-results.mjs'

const recorded = (name: string): string => readFileSync(join(import.meta.dirname, 'recorded', name), 'utf8')

const peersOf = (...argv: string[]): ReturnType<typeof readArguments>['peers'] => readArguments(['model.gguf', ...argv]).peers

test('reads what llama.cpp and ik_llama.cpp write, under the same names', () => {
  const llama = speedsOf(recorded('llama-bench.json'))
  const ik = speedsOf(recorded('ik-llama-bench.json'))
  expect([...llama.keys()]).toEqual(['pp32', 'tg4', 'pp32 @ d32', 'tg4 @ d32'])
  expect([...ik.keys()]).toEqual(['pp32', 'tg4', 'tg4 @ d32'])
  for (const speeds of [llama, ik]) for (const speed of speeds.values()) expect(speed).toBeGreaterThan(0)
})

test('finds the list among other lines, and says what was there instead', () => {
  expect([...speedsOf('warning: x [y]\n[\n {"n_prompt": 8, "n_gen": 0, "avg_ts": 2.5}\n]\ndone\n')]).toEqual([['pp8', 2.5]])
  expect(() => speedsOf('error: unknown model')).toThrow('unknown model')
})

test('names tests as llama-bench does', () => {
  expect([{ n_prompt: 512 }, { n_gen: 32, n_depth: 2048 }, { n_prompt: 2048, n_gen: 32 }].map(testName)).toEqual(['pp512', 'tg32 @ d2048', 'tg32 @ d2048'])
})

test('takes several peers, each with its own arguments', () => {
  expect(peersOf('--peer', 'a/llama-bench', '--peer', 'ik=b/llama-bench', '--peer-args', '-mla 3 -fa 1', '--peer-args', '-fmoe "1"')).toEqual([
    { name: 'peer 1', path: 'a/llama-bench', args: [] },
    { name: 'ik', path: 'b/llama-bench', args: ['-mla', '3', '-fa', '1', '-fmoe', '1'] },
  ])
  expect(readArguments(['m.gguf', '--peer', 'a', '-d', '0,2048', '-r', '3', '--warm-up', '0'])).toMatchObject({
    model: 'm.gguf', lengths: { prompt: '512', generate: '32', depth: '0,2048', threads: '2' }, nRounds: 3, nWarmUp: 0,
  })
  expect(() => readArguments(['--peer', 'a'])).toThrow('MODEL')
  expect(() => readArguments(['m', '--peer', 'a', '-r', '0'])).toThrow('--rounds')
  expect(() => peersOf('--peer-args', '-fa 1')).toThrow('behind its --peer')
  expect(() => peersOf('--peer', 'x=a', '--peer', 'x=b')).toThrow('two peers are called x')
  expect(splitWords(' -ot "a b=CPU"  c ')).toEqual(['-ot', 'a b=CPU', 'c'])
})

test('asks a bench without depth to generate behind a prompt', () => {
  const peer = { name: 'p', path: 'bench', args: ['-fa', '1'] }
  const lengths = { prompt: '512', generate: '32', depth: '0,2048', threads: '2' }
  const common = ['bench', '-m', 'model', '-t', '2', '-r', '1', '-o', 'json', '-fa', '1']
  expect(peerCommand(peer, 'model', lengths, '  -d, --n-depth <n>')).toEqual([...common, '-p', '512', '-n', '32', '-d', '0,2048'])
  expect(peerCommand(peer, 'model', lengths, '  -gp <pp,tg>')).toEqual([...common, '-p', '512', '-n', '32', '-gp', '2048,32'])
  expect(peerCommand(peer, 'model', { ...lengths, depth: '4096' }, '')).toEqual([...common, '-p', '0', '-n', '0', '-gp', '4096,32'])
})

test('puts peers around ours, every other round backwards', () => {
  const peers = peersOf('--peer', 'A=a', '--peer', 'B=b')
  const names = (round: number): string[] => orderOf(peers, round).map(who => who === 'ours' ? who : who.name)
  expect([names(0), names(1)]).toEqual([['A', 'ours', 'B'], ['B', 'ours', 'A']])
})

test('compares round by round', () => {
  expect([median([3, 1, 2]), median([4, 1, 3, 2])]).toEqual([2, 2.5])
  const round = (ours: number, a: number): Map<string, Map<string, number>> => new Map([['ours', new Map([['pp8', ours], ['pp8 @ d4', 1]])], ['A', new Map([['pp8', a]])]])
  // The machine slows down by half; the ratios do not.
  expect(tables([{ name: 'A' }], [round(100, 50), round(50, 20), round(60, 20)])).toBe([
    '| test | Moebius t/s | A t/s | ratio (median) | ratio min … max |', '|---|---|---|---|---|',
    '| pp8 | 60.00 | 20.00 | 2.50 | 2.00 … 3.00 |', '| pp8 @ d4 | 1.00 | not measured | | |',
  ].join('\n'))
})
