// The command line over the real engine: golden models and the built-in one.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createNativeEngine } from '../../electron/engine/native'
import { findAddon } from '../../electron/engine/native-addon'
import type { Engine, GenerationResult } from '../../electron/engine/types'
import type { RouteRecord } from '../../electron/host/cli/route'
import { cli, json } from './run-cli'

const models = resolve('test/fixtures/models')
const demo = resolve('resources/models/moebius-demo-6m.gguf')

interface Golden {
  arrays: { name: string, shape: number[], offset: number, nbytes: number }[]
  sequences: Record<string, number[]>
  tokenizer_check: { text: string, tokens: number[] }[]
}

function golden(name: string): Golden & { array(name: string): Float32Array } {
  const meta = JSON.parse(readFileSync(join(models, `${name}.json`), 'utf8')) as Golden
  const bin = readFileSync(join(models, `${name}.bin`))
  const array = (wanted: string): Float32Array => {
    const { offset, nbytes } = meta.arrays.find(entry => entry.name === wanted)!
    return new Float32Array(bin.buffer.slice(bin.byteOffset + offset, bin.byteOffset + offset + nbytes))
  }
  return { ...meta, array }
}

describe.runIf(findAddon() !== undefined)('command line over the engine', () => {
  let engine: Engine
  let folder: string
  beforeAll(() => {
    engine = createNativeEngine()
    folder = mkdtempSync(join(tmpdir(), 'moebius-cli-engine-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('writes the reference\'s logits', async () => {
    for (const name of ['deepseek2-v3', 'qwen3moe', 'gpt-oss']) {
      const { sequences, array } = golden(name)
      const out = join(folder, `${name}.f32`)
      const result = await cli(engine, ['logits', join(models, `${name}.gguf`), '--tokens', sequences.s17!.join(','), '--out', out, '--exact', '--json'])
      expect(json(result)).toMatchObject({ nTokens: 17, vocabSize: 512 })
      const bytes = readFileSync(out)
      const wanted = array('s17.logits')
      let error = 0
      let power = 0
      wanted.forEach((value, i) => {
        error += (bytes.readFloatLE(4 * i) - value) ** 2
        power += value ** 2
      })
      expect(bytes.length).toBe(wanted.length * 4)
      expect(error / power, name).toBeLessThan(1e-9)
    }
  })

  it('tells the reference\'s experts and weights', async () => {
    const { sequences, arrays, array } = golden('deepseek2-v3')
    const record = json(await cli(engine, ['route', join(models, 'deepseek2-v3.gguf'), '--tokens', sequences.s96!.join(','), '--exact', '--json'])) as RouteRecord
    const [nLayers = 0, nTokens = 0, nActive = 0] = arrays.find(entry => entry.name === 's96.route_ids')!.shape
    const ids = new Int32Array(array('s96.route_ids').buffer)
    const weights = array('s96.route_weights')
    expect([record.layers.length, record.nTokens, record.nActiveExperts]).toEqual([nLayers, nTokens, nActive])
    record.layers.forEach(({ ids: chosen, weights: given }, layer) => chosen.forEach((row, token) => {
      const at = (layer * nTokens + token) * nActive
      const order = row.map((id, k) => ({ id, weight: given[token]![k]! })).sort((a, b) => a.id - b.id)
      expect(order.map(({ id }) => id)).toEqual([...ids.subarray(at, at + nActive)])
      order.forEach(({ weight }, k) => expect(weight).toBeCloseTo(weights[at + k]!, 4))
    }))
    const { count, load } = record.layers[0]!.statistics
    expect(count.reduce((sum, n) => sum + n, 0)).toBe(nTokens * nActive)
    expect(load.reduce((sum, value) => sum + value, 0)).toBeCloseTo(record.nRoutedExperts, 9)
  })

  it('tokenizes like the reference', async () => {
    for (const name of ['deepseek2-v3', 'llama', 'gemma3']) {
      for (const { text, tokens } of golden(name).tokenizer_check) {
        const file = join(folder, 'text.txt')
        writeFileSync(file, text)
        expect(json(await cli(engine, ['tokenize', join(models, `${name}.gguf`), '--text-file', file, '--json'])), name).toEqual({ tokens, count: tokens.length })
      }
    }
  })

  it('tokenizes with files that hold nothing but a vocabulary', async () => {
    const folders = [resolve('test/fixtures/tokenizers'), resolve('../shared/fixtures/tokenizers'), process.env['MOEBIUS_GOLDENS'] ?? ''].filter(path => path !== '' && existsSync(path))
    const files = [...new Map(folders.flatMap(path => readdirSync(path).filter(name => name.endsWith('.gguf')).map(name => [name, join(path, name)] as const))).values()]
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) {
      const texts = readFileSync(`${file}.inp`, 'utf8').split('\n__ggml_vocab_test__\n')
      const ids = readFileSync(`${file}.out`, 'utf8').split('\n')
      for (const index of [0, 7, 20, 33]) {
        const text = texts[index]!
        const tokens = ids[index]!.trim().split(/\s+/).filter(word => word !== '').map(Number)
        if (tokens.length === 0) continue
        const input = join(folder, 'vocabulary.txt')
        writeFileSync(input, text)
        expect(json(await cli(engine, ['tokenize', file, '--text-file', input, '--no-special', '--json'])), `${file} ${index}`).toEqual({ tokens, count: tokens.length })
        expect((json(await cli(engine, ['detokenize', file, '--tokens', tokens.join(','), '--json'])) as { text: string }).text.trim()).toBe(text.trim())
      }
    }
    expect(await cli(engine, ['run', files[0]!, '-p', 'x'])).toMatchObject({ code: 1, error: expect.stringContaining('token_embd.weight') })
  })

  it('continues the built-in model\'s story', async () => {
    const { greedy_check: check } = JSON.parse(readFileSync(demo.replace('.gguf', '.json'), 'utf8')) as { greedy_check: { prompt_ids: number[], continuation_ids: number[] } }
    const { text } = json(await cli(engine, ['detokenize', demo, '--tokens', check.prompt_ids.join(','), '--no-special', '--json'])) as { text: string }
    expect(text).toBe('Once upon a time, there was a little girl named Lily.')
    const { tokens } = json(await cli(engine, ['run', demo, '--raw', '-p', text, '-n', String(check.continuation_ids.length), '--temp', '0', '--exact', '--json'])) as { tokens: number[] }
    expect(tokens).toEqual(check.continuation_ids)
  })

  it('answers with reasoning apart from the answer', async () => {
    const argv = ['run', demo, '-p', 'What is 12 + 30?', '--temp', '0', '--exact', '--json']
    const first = json(await cli(engine, argv)) as { content: string, reasoning: string, stopReason: string }
    expect(first.stopReason).toBe('stop')
    expect(first.reasoning).toMatch(/\d \+ \d/)
    expect(first.content).toMatch(/^\d+$/)
    expect(json(await cli(engine, argv))).toMatchObject({ content: first.content, reasoning: first.reasoning })
  })

  it('answers the same with drafts', async () => {
    const ask = async (...draft: string[]): Promise<{ tokens: number[], stats: GenerationResult }> =>
      json(await cli(engine, ['run', demo, '-p', 'Tell me a story.', '-n', '80', '--seed', '3', '--json', ...draft])) as { tokens: number[], stats: GenerationResult }
    const plain = await ask('--draft', 'off')
    expect(plain.stats.draft).toBeUndefined()
    const always = await ask('--draft', 'always', '--draft-tokens', '2')
    expect(always.tokens).toEqual(plain.tokens)
    expect(always.stats.draft).toMatchObject({ isOn: true, reason: 'always' })
    expect(always.stats.draft!.accepted).toBeGreaterThan(10)
    const automatic = await ask()
    expect(automatic.tokens).toEqual(plain.tokens)
    expect(automatic.stats.draft!.drafted).toBeGreaterThan(0)
    const withoutLayer = join(models, 'llama.gguf')
    expect(json(await cli(engine, ['run', withoutLayer, '--raw', '-p', 'a', '-n', '5', '--draft', 'always', '--json']))).toMatchObject({ stats: { draft: { isOn: false, reason: 'no_draft_layer', drafted: 0 } } })
  })

  it('repeats a seeded answer', async () => {
    const ask = async (seed: number): Promise<unknown> => (json(await cli(engine, ['run', demo, '-p', 'Tell me a story.', '-n', '30', '--seed', String(seed), '--json'])) as { tokens: number[] }).tokens
    expect(await ask(5)).toEqual(await ask(5))
    expect(await ask(5)).not.toEqual(await ask(6))
  })

  it('measures the built-in model', async () => {
    const stories = readFileSync('resources/evaluation/domains.jsonl', 'utf8').trim().split('\n').map(line => JSON.parse(line) as { domain: string, text: string }).filter(({ domain }) => domain === 'story')
    const file = join(folder, 'stories.txt')
    writeFileSync(file, stories.map(({ text }) => text).join('\n'))
    const base = join(folder, 'base.kld')
    const measured = json(await cli(engine, ['perplexity', demo, '-f', file, '--ctx', '128', '--chunks', '3', '--save-logits', base, '--exact', '--json'])) as { perplexity: number }
    expect(measured).toMatchObject({ scoredTokens: 3 * 63, chunks: 3 })
    expect(measured.perplexity).toBeGreaterThan(1)
    expect(measured.perplexity).toBeLessThan(4)
    const compared = json(await cli(engine, ['perplexity', demo, '--kld', base, '--exact', '--json'])) as { divergence: { mean: number }, perplexity: number, sameTop: { share: number } }
    expect(Math.abs(compared.divergence.mean)).toBeLessThan(1e-4)
    expect(compared.perplexity).toBeCloseTo(measured.perplexity, 5)
    expect(compared.sameTop.share).toBe(1)
    const live = async (...more: string[]): Promise<unknown> => json(await cli(engine, ['perplexity', demo, '-f', file, '--ctx', '128', '--chunks', '3', '--base', demo, '--json', ...more]))
    const nothing = { count: 3 * 63, divergence: { mean: 0, error: 0, maximum: 0, minimum: 0 }, probabilityChange: { mean: 0, rms: 0, largest: 0 }, sameTop: { share: 1 } }
    expect(await live('--exact')).toMatchObject(nothing)
    expect(await live()).toMatchObject(nothing)
    // What int8 activations lose, apart from the weights.
    const activations = await live('--base-exact') as { divergence: { mean: number } }
    expect(activations.divergence.mean).toBeGreaterThan(0)
    expect(activations.divergence.mean).toBeLessThan(1e-2)
    const fast = json(await cli(engine, ['perplexity', demo, '--kld', base, '--json'])) as { divergence: { mean: number } }
    expect(fast.divergence.mean).toBeLessThan(1e-2)
  })

  // The same random weights in F16 and Q8_0; too large to be kept here.
  const goldens = [process.env['MOEBIUS_GOLDENS'] ?? '', resolve('../shared/fixtures')].map(path => join(path, 'models')).find(path => existsSync(join(path, 'deepseek2-v3-h.Q8_0.gguf')))
  it.skipIf(goldens === undefined)('measures what a format loses', async () => {
    const [half, eight] = ['F16', 'Q8_0'].map(format => join(goldens!, `deepseek2-v3-h.${format}.gguf`)) as [string, string]
    const text = join(folder, 'text.txt')
    writeFileSync(text, 'Two roads diverged in a wood, and one of them was longer than the other. '.repeat(12))
    const base = join(folder, 'half.kld')
    await cli(engine, ['perplexity', half, '-f', text, '--ctx', '64', '--chunks', '4', '--save-logits', base, '--exact'])
    const divergence = async (model: string, ...more: string[]): Promise<number> => (json(await cli(engine, ['perplexity', model, '--kld', base, '--json', ...more])) as { divergence: { mean: number } }).divergence.mean
    expect(Math.abs(await divergence(half, '--exact'))).toBeLessThan(1e-4)
    const live = json(await cli(engine, ['perplexity', eight, '-f', text, '--ctx', '64', '--chunks', '4', '--base', half, '--exact', '--json'])) as { divergence: { mean: number } }
    expect(live.divergence.mean).toBeCloseTo(await divergence(eight, '--exact'), 3)
    const [weights, activations] = [await divergence(eight, '--exact'), await divergence(eight)]
    expect(weights).toBeGreaterThan(0)
    expect(weights).toBeLessThan(0.05)
    expect(activations).toBeLessThan(0.06)
  })

  it.each(readdirSync(models).filter(name => name.endsWith('.gguf')))('verifies %s', async name => {
    const exact = await cli(engine, ['verify', join(models, name), '--exact'])
    expect([exact.code, exact.out.includes('FAIL')], exact.out + exact.error).toEqual([0, false])
    expect((await cli(engine, ['verify', join(models, name)])).code).toBe(0)
  })

  it('says what is wrong with a file', async () => {
    const cut = join(folder, 'cut.gguf')
    writeFileSync(cut, readFileSync(demo).subarray(0, 100_000))
    for (const command of ['info', 'verify']) {
      expect(await cli(engine, [command, cut, '--json'])).toMatchObject({ code: 1, out: expect.stringMatching(/^\{"error":\{"code":"E_GGUF"/) })
    }
  })
})
