// Every sampler of the engine can be reached from the command line.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNativeEngine } from '../../electron/engine/native'
import { findAddon } from '../../electron/engine/native-addon'
import type { Engine, Sampling } from '../../electron/engine/types'
import { parseArguments } from '../../electron/host/cli/command'
import { runCommand } from '../../electron/host/cli/run'
import { readSampling } from '../../electron/host/cli/sampling-arguments'
import { cli, json } from './run-cli'

const demo = resolve('resources/models/moebius-demo-6m.gguf')
let folder: string
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'moebius-cli-sampling-')) })
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const read = (...argv: string[]): Promise<Sampling> => readSampling(parseArguments(runCommand, ['m', ...argv]))

describe('sampling options', () => {
  it('default to what the window uses', async () => {
    expect(await read('--seed', '3')).toEqual({ temperature: 0.8, samplingTopK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1, seed: 3 })
    expect((await read()).seed).not.toBe((await read()).seed)
  })

  it('reach every field', async () => {
    const grammar = file('a.gbnf', 'root ::= "a"')
    const argv = ['--temp', '0.5', '--top-k', '7', '--top-p', '0.9', '--min-p', '0.1', '--typical', '0.7', '--top-n-sigma', '1.5', '--xtc-probability', '0.25', '--xtc-threshold', '0.2',
      '--repeat-penalty', '1.1', '--repeat-last-n', '-1', '--frequency-penalty', '-0.5', '--presence-penalty', '0.25', '--dry-multiplier', '0.8', '--dry-base', '1.5', '--dry-allowed-length', '3',
      '--dry-penalty-last-n', '99', '--mirostat', '--mirostat-tau', '4', '--mirostat-eta', '0.2', '--logit-bias', '15+1.5,7-2,9-inf', '--samplers', 'penalties,top_p;temperature', '--seed', '9',
      '--grammar-file', grammar, '--logprobs', '3', '--json']
    expect(await read(...argv)).toEqual({
      temperature: 0.5, samplingTopK: 7, topP: 0.9, minP: 0.1, typicalP: 0.7, topNSigma: 1.5, xtc: { probability: 0.25, threshold: 0.2 },
      repeatPenalty: 1.1, repeatLastN: -1, frequencyPenalty: -0.5, presencePenalty: 0.25, dry: { multiplier: 0.8, base: 1.5, allowedLength: 3, lastN: 99 },
      mirostat: { tau: 4, eta: 0.2 }, logitBias: [{ token: 15, bias: 1.5 }, { token: 7, bias: -2 }, { token: 9, bias: Number.NEGATIVE_INFINITY }],
      order: ['penalties', 'top_p', 'temperature'], seed: 9, grammar: 'root ::= "a"', nProbs: 3,
    })
    expect((await read('--json-schema-file', file('s.json', '{"type":"integer"}'))).jsonSchema).toBe('{"type":"integer"}')
  })

  it('are checked', async () => {
    await expect(read('--logit-bias', '5')).rejects.toThrow('--logit-bias takes')
    await expect(read('--logit-bias', '5+inf')).rejects.toThrow('--logit-bias takes')
    await expect(read('--mirostat-tau', '4')).rejects.toThrow('need --mirostat')
    await expect(read('--logprobs', '2')).rejects.toThrow('needs --json')
    await expect(read('--typical', '2')).rejects.toThrow('between 0 and 1')
    await expect(read('--grammar-file', 'a', '--json-schema-file', 'b')).rejects.toThrow('exclude each other')
    await expect(read('--json-schema-file', file('bad.json', '{'))).rejects.toMatchObject({ code: 'E_GRAMMAR' })
    await expect(read('--grammar-file', join(folder, 'none'))).rejects.toMatchObject({ code: 'E_IO' })
  })
})

describe.runIf(findAddon() !== undefined)('sampling in the engine', () => {
  let engine: Engine
  beforeAll(() => { engine = createNativeEngine() })

  it('reports log-probabilities', async () => {
    const result = json(await cli(engine, ['run', demo, '-p', 'Once', '--raw', '-n', '4', '--temp', '0', '--logprobs', '3', '--json'])) as { tokens: number[], logprobs: { id: number, logprob: number, top: { id: number, logprob: number }[] }[] }
    expect(result.logprobs.map(({ id }) => id)).toEqual(result.tokens)
    for (const { id, logprob, top } of result.logprobs) {
      expect(top).toHaveLength(3)
      expect(top[0]).toEqual({ id, logprob })
    }
  })

  it('obeys a schema, an order and refuses unknown stages', async () => {
    const schema = file('colour.json', '{"enum":["red","blue"]}')
    const { content } = json(await cli(engine, ['run', demo, '-p', 'Colour?', '--raw', '--json-schema-file', schema, '--seed', '1', '--json'])) as { content: string }
    expect(['"red"', '"blue"']).toContain(content)
    const base = ['run', demo, '-p', 'Once', '--raw', '-n', '8', '--seed', '4', '--temp', '5', '--top-k', '1', '--json']
    const tokens = async (...more: string[]): Promise<number[]> => (json(await cli(engine, [...base, ...more])) as { tokens: number[] }).tokens
    expect(await tokens('--samplers', 'sampling_top_k,temperature')).not.toEqual(await tokens('--samplers', 'temperature'))
    expect((await cli(engine, [...base, '--samplers', 'abacus'])).error).toContain('abacus')
  })
})
