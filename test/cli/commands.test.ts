// Every command over an engine whose every answer is known.
import { DatabaseSync } from 'node:sqlite'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commands } from '../../electron/host/cli/main'
import { cli, json } from './run-cli'
import { encodeTiny, nextTiny, TinyEngine, tinyVocabSize } from './tiny-engine'

let folder: string
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'moebius-cli-')) })
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const at = (name: string): string => join(folder, name)

describe('command line', () => {
  it('explains itself', async () => {
    const help = await cli(new TinyEngine(), ['--help'])
    expect(help.code).toBe(0)
    for (const { name } of commands) {
      expect(help.out).toContain(`  ${name}`)
      const own = await cli(new TinyEngine(), [name, '--help'])
      expect([own.code, own.error]).toEqual([0, ''])
      expect(own.out).toContain(`Usage: moebius ${name} ${name === 'calibrate' ? '[-t N]' : 'MODEL'}`)
      expect(own.out).toContain('--json')
    }
    expect((await cli(new TinyEngine(), ['help', 'run'])).out).toContain('--top-k K')
    expect(await cli(new TinyEngine(), [])).toMatchObject({ code: 2, out: '' })
  })

  const wrong: [string[], RegExp][] = [
    [['fly'], /there is no command 'fly'. Commands: info, run/],
    [['info'], /MODEL is missing/],
    [['info', 'a', 'b'], /unexpected argument 'b'/],
    [['info', 'a', '--wings'], /Unknown option '--wings'/],
    [['run', 'm', '-p', 'x', '-n', 'many'], /--max-tokens takes a whole number between 0 and \d+, not 'many'/],
    [['run', 'm', '-p', 'x', '--temp', '-1'], /--temp takes a number between 0 and 10/],
    [['run', 'm', '-p', 'x', '--seed', '1.5'], /--seed takes a whole number/],
    [['run', 'm', '-p', 'x', '--draft', 'maybe'], /--draft takes off, auto, always, not 'maybe'/],
    [['run', 'm', '-p', 'x', '--draft-tokens', '9'], /--draft-tokens takes a whole number between 1 and 8, not '9'/],
    [['run', 'm'], /--prompt or --file is missing/],
    [['run', 'm', '-p', 'x', '-f', 'y'], /exclude each other/],
    [['tokenize', 'm'], /--text or --text-file is missing/],
    [['detokenize', 'm', '--tokens', '1,x'], /'x' is no token id of this model \(0 to 259\)/],
    [['detokenize', 'm', '--tokens', '1,260'], /'260' is no token id/],
    [['logits', 'm', '--tokens', '1'], /--out is missing/],
    [['route', 'm'], /either token ids or a text/],
    [['perplexity', 'm', '--kld', 'a', '-f', 'b'], /leave out --file/],
    [['perplexity', 'm', '--kld', 'a', '--base', 'b'], /leave out --file/],
    [['perplexity', 'm', '--base', 'a', '--save-logits', 'b'], /exclude each other/],
    [['perplexity', 'm', '--base-exact', '-f', 'b'], /needs --base/],
  ]
  it.each(wrong)('refuses %j', async (argv, message) => {
    const result = await cli(new TinyEngine(), argv)
    expect(result.code).toBe(2)
    expect(result.error).toMatch(message)
    expect(result.out).toBe('')
  })

  it('frees the model whatever happens', async () => {
    const engine = new TinyEngine()
    await cli(engine, ['run', 'm', '-p', 'x', '-n', '2'])
    await cli(engine, ['run', 'm'])
    await cli(engine, ['verify', 'm'])
    expect([engine.loads.length, engine.closed, engine.sessions]).toEqual([3, 3, 0])
  })

  it('finds models by path, built-in name and indexed id', async () => {
    writeFileSync(at('some.gguf'), '')
    const database = new DatabaseSync(at('moebius.db'))
    database.exec('CREATE TABLE model (id TEXT PRIMARY KEY, path TEXT)')
    database.prepare('INSERT INTO model VALUES (?, ?), (?, ?)').run('qwen', at('some.gguf'), 'gone', at('gone.gguf'))
    database.close()
    const places = { builtInModel: at('some.gguf'), database: at('moebius.db') }
    for (const name of [at('some.gguf'), 'moebius-demo-6m', 'qwen', 'QWEN']) {
      const engine = new TinyEngine()
      expect((await cli(engine, ['detokenize', name, '--tokens', '5'], { places })).code, name).toBe(0)
      expect(engine.loads[0]!.path).toBe(at('some.gguf'))
    }
    expect(await cli(new TinyEngine(), ['info', 'qwem'], { places })).toMatchObject({ code: 1, error: expect.stringMatching(/There is no model 'qwem'[\s\S]*one of: qwen/) })
    expect((await cli(new TinyEngine(), ['info', 'gone'], { places })).error).toContain('is not there any more')
    expect((await cli(new TinyEngine(), ['info', './no.gguf', '--json'], { places }))).toMatchObject({ code: 1, out: expect.stringMatching(/^\{"error":\{"code":"E_NOT_FOUND"/) })
    expect((await cli(new TinyEngine(), ['info', 'x'], { places: { builtInModel: at('no'), database: at('no.db') } })).error).toContain('moebius-demo-6m')
  })
})

describe('info', () => {
  it('shows the card, tensors and metadata', async () => {
    const { code, out } = await cli(new TinyEngine(), ['info', 'm.gguf', '--tensors', '--metadata', '--template'])
    expect(code).toBe(0)
    expect(out).toContain('8 routed, 2 active, 1 shared, 2 of 4 groups')
    expect(out).toContain('6.11M in all, 1.80M per token')
    expect(out).toMatch(/score_func +sigmoid +key/)
    expect(out).toContain('warning: groups assumed 4/2')
    expect(out).toMatch(/token_embd.weight +F16 +8 × 260 +4.77 MiB/)
    expect(out).toContain('Ti\ufffdny')
    expect(out).toMatch(/drafts +no\n/)
    expect((await cli(new TinyEngine({ nMtpLayers: 1 }), ['info', 'm.gguf'])).out).toMatch(/drafts +yes: /)
  })

  it('writes JSON', async () => {
    expect(json(await cli(new TinyEngine(), ['info', 'm.gguf', '--json']))).toMatchObject({ path: 'm.gguf', parts: ['m.gguf'], card: { nRoutedExperts: 8 } })
    expect(json(await cli(new TinyEngine(), ['info', 'm.gguf', '--json', '--tensors']))).toMatchObject({ tensors: [{ name: 'token_embd.weight' }, {}] })
  })
})

describe('run', () => {
  it('writes the answer alone on standard output', async () => {
    const result = await cli(new TinyEngine({ answer: '<think>\nhm\n</think>\n\nHello there' }), ['run', 'm', '-p', 'hi', '--seed', '7'])
    expect([result.code, result.out]).toEqual([0, 'Hello there\n'])
    expect(result.error).toMatch(/^hm\n\n\n20 prompt tokens \(2000.0\/s\), 32 generated \(1550.0\/s\), first after 10 ms, stopped by stop, seed 7\n$/)
  })

  it('says how many drafts came true, and why it drafts', async () => {
    const run = async (nMtpLayers: number, ...argv: string[]): Promise<string> => (await cli(new TinyEngine({ answer: 'ok', nMtpLayers }), ['run', 'm', '-p', 'hi', ...argv])).error
    expect(await run(1)).toMatch(/\ndrafts: 8 of 10 accepted \(80 %\), on at the end: faster, 1\.23 times the plain speed\n$/)
    expect(await run(1, '--draft', 'always', '--draft-tokens', '4')).toMatch(/\ndrafts: 8 of 40 accepted \(20 %\), on at the end: as asked, /)
    expect(await run(1, '--draft', 'off')).not.toContain('draft')
    expect(await run(0)).not.toContain('draft')
    expect(await run(0, '--draft', 'always')).toMatch(/^This model has no draft layer/)
    const { stats } = json(await cli(new TinyEngine({ answer: 'ok', nMtpLayers: 1 }), ['run', 'm', '-p', 'hi', '--json'])) as { stats: unknown }
    expect(stats).toMatchObject({ draft: { accepted: 8, drafted: 10, reason: 'gains' } })
  })

  it('applies the template, the system prompt and the options', async () => {
    const result = json(await cli(new TinyEngine({ answer: 'ok' }), ['run', 'm', '-p', '-', '--system', 'S', '--threads', '3', '--exact', '--json'], { stdin: 'from stdin' })) as { stats: { promptTokens: number }, content: string, seed: number, tokens: number[] }
    expect(result).toMatchObject({ content: 'ok', reasoning: '', stopReason: 'stop', tokens: [...encodeTiny('ok', { addSpecial: false, parseSpecial: false })] })
    expect(result.stats.promptTokens).toBe(encodeTiny('<s>[system]S[user]from stdin[assistant]', { addSpecial: false, parseSpecial: true }).length)
    expect(result.seed).toBeGreaterThanOrEqual(0)
    const engine = new TinyEngine({ answer: 'ok' })
    await cli(engine, ['run', 'm', '-p', 'x', '--threads', '3', '--exact'])
    expect(engine.loads[0]!.options).toMatchObject({ threads: 3, exact: true })
    expect(engine.loads[0]!.options).not.toHaveProperty('bf16Attention')
    await cli(engine, ['run', 'm', '-p', 'x', '--bf16-attention'])
    expect(engine.loads[1]!.options).toMatchObject({ bf16Attention: true })
  })

  it('continues raw text, and stops at length and stop strings', async () => {
    let token = encodeTiny('a', { addSpecial: false, parseSpecial: false })[0]!
    let expected = ''
    for (let i = 0; i < 5; i++) {
      token = nextTiny(token)
      expected += String.fromCharCode(token - 4)
    }
    const raw = json(await cli(new TinyEngine(), ['run', 'm', '--raw', '-p', 'a', '-n', '5', '--temp', '0', '--json']))
    expect(raw).toMatchObject({ content: expected, stopReason: 'length', stats: { promptTokens: 2, generatedTokens: 5 } })
    expect(json(await cli(new TinyEngine({ answer: 'one STOP two' }), ['run', 'm', '-p', 'a', '--stop', 'STOP', '--json']))).toMatchObject({ content: 'one ', stopReason: 'stop', stopString: 'STOP' })
    expect((await cli(new TinyEngine({ answer: '<think>x' }), ['run', 'm', '--raw', '-p', 'a'])).out).toBe('<think>x\n')
  })

  it('refuses what does not fit', async () => {
    expect(await cli(new TinyEngine(), ['run', 'm', '-p', 'x'.repeat(600)])).toMatchObject({ code: 1, out: '', error: expect.stringContaining('context length is 512 tokens') })
    expect((await cli(new TinyEngine(), ['run', 'm', '-p', 'x', '-n', '505'])).error).toMatch(/the request has 524 \(prompt 19 \+ max-tokens 505\)/)
    expect((await cli(new TinyEngine(), ['run', 'm', '-p', 'x', '--ctx', '600'])).error).toContain('at most 512')
    const poor = new TinyEngine({ answer: 'ok' })
    poor.available = 100_000
    expect((await cli(poor, ['run', 'm', '-p', 'x', '--ctx', '400'])).error).toContain('--force')
    expect((await cli(poor, ['run', 'm', '-p', 'x', '--ctx', '400', '--force'])).code).toBe(0)
    expect((await cli(new TinyEngine({ chatTemplate: '{{ raise_exception("alternate!") }}' }), ['run', 'm', '-p', 'x'])).error).toContain('alternate!')
  })

  it('converses plainly with a model that has no template', async () => {
    const result = await cli(new TinyEngine({ chatTemplate: '', answer: ' yes.\n\nUser: and now' }), ['run', 'm', '-p', 'x', '--system', 'S'])
    expect([result.code, result.out]).toEqual([0, ' yes.\n'])
    expect(result.error).toMatch(/no chat template[\s\S]*\n23 prompt tokens/)
  })

  it('stops cleanly when interrupted', async () => {
    const controller = new AbortController()
    const engine = new TinyEngine({ onToken: count => { if (count === 3) controller.abort() } })
    const result = await cli(engine, ['run', 'm', '-p', 'x'], { signal: controller.signal })
    expect(result.code).toBe(130)
    expect(result.out).toHaveLength(4)
    expect(result.error).toContain('stopped by cancelled')
    expect([engine.closed, engine.sessions]).toEqual([1, 0])
  })
})

describe('tokens', () => {
  it('tokenizes and detokenizes', async () => {
    expect(json(await cli(new TinyEngine(), ['tokenize', 'm', '--text', 'a</s>', '--json']))).toEqual({ tokens: [0, 101, 1], count: 3 })
    expect(json(await cli(new TinyEngine(), ['tokenize', 'm', '--text', 'a</s>', '--no-special', '--json']))).toEqual({ tokens: [101, 64, 51, 119, 66], count: 5 })
    writeFileSync(at('text.txt'), 'hé')
    expect(json(await cli(new TinyEngine(), ['tokenize', 'm', '--text-file', at('text.txt'), '--json']))).toMatchObject({ count: 4 })
    expect((await cli(new TinyEngine(), ['tokenize', 'm', '--text', 'ab'])).out).toBe(' id  text\n  0  "<s>"\n101  "a"\n102  "b"\n')
    expect((await cli(new TinyEngine(), ['detokenize', 'm', '--tokens', '101,102'])).out).toBe('ab\n')
    writeFileSync(at('ids.json'), '[101, 102]')
    expect(json(await cli(new TinyEngine(), ['detokenize', 'm', '--tokens-file', at('ids.json'), '--json']))).toEqual({ text: 'ab' })
    expect((await cli(new TinyEngine(), ['tokenize', 'm', '--text-file', at('none')])).error).toContain('cannot be read: ENOENT')
  })

  it('writes logits as little-endian floats', async () => {
    const file = at('logits.f32')
    expect(json(await cli(new TinyEngine(), ['logits', 'm', '--tokens', '0,101', '--out', file, '--json']))).toEqual({ nTokens: 2, vocabSize: tinyVocabSize, file })
    const bytes = readFileSync(file)
    expect(bytes.length).toBe(2 * tinyVocabSize * 4)
    expect(bytes.readFloatLE(4 * 8)).toBe(-1)
    expect(bytes.readFloatLE(4 * (tinyVocabSize + nextTiny(101)))).toBe(5)
    expect((await cli(new TinyEngine(), ['logits', 'm', '--tokens', '0', '--out', at('no/such/file')])).error).toContain('cannot be written')
  })
})

describe('route', () => {
  it('writes ids, weights and statistics', async () => {
    const file = at('route.json')
    const result = await cli(new TinyEngine(), ['route', 'm', '--tokens', '0,4,4,4', '--out', file])
    expect(result.out).toContain('4 tokens, 2 of 8 experts each (few tokens: counts are noisy)')
    const record = JSON.parse(readFileSync(file, 'utf8')) as { layers: { layer: number, ids: number[][], weights: number[][], statistics: { count: number[], dead: number[] } }[] }
    expect(record).toMatchObject({ model: 'Tiny', tokens: [0, 4, 4, 4], nTokens: 4, nRoutedExperts: 8, nActiveExperts: 2 })
    expect(record.layers[0]).toMatchObject({ layer: 1, ids: [[1, 2], [5, 6], [5, 6], [5, 6]], weights: [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]], statistics: { count: [0, 1, 1, 0, 0, 3, 3, 0], dead: [0, 3, 4, 7], maxViolation: 2 } })
    expect(json(await cli(new TinyEngine(), ['route', 'm', '--text', 'abc', '--json']))).toMatchObject({ nTokens: 4, layers: [{ layer: 1 }, { layer: 2 }] })
    expect(json(await cli(new TinyEngine(), ['route', 'm', '--text', 'abc', '--json', '--out', file]))).toMatchObject({ file, layers: [{ layer: 1, dead: expect.any(Number) }, {}] })
    expect((await cli(new TinyEngine({ dense: true }), ['route', 'm', '--tokens', '1'])).error).toContain('it is dense')
  })
})

describe('perplexity', () => {
  const text = 'The likeliest token is known, so the score can be computed by hand. '.repeat(3)

  it('scores the second half of each window', async () => {
    writeFileSync(at('text.txt'), text)
    const tokens = encodeTiny(text, { addSpecial: true, parseSpecial: false })
    let sum = 0
    let count = 0
    for (let chunk = 0; chunk < 3; chunk++) {
      const window = tokens.slice(chunk * 16, chunk * 16 + 16)
      for (let position = 8; position < 15; position++, count++) {
        let total = 0
        const best = nextTiny(window[position]!)
        const logit = (v: number): number => v === best ? 5 : -(v % 7)
        for (let v = 0; v < tinyVocabSize; v++) total += Math.exp(logit(v))
        sum += Math.log(total) - logit(window[position + 1]!)
      }
    }
    const result = json(await cli(new TinyEngine(), ['perplexity', 'm', '-f', at('text.txt'), '--ctx', '16', '--chunks', '3', '--json'])) as { perplexity: number }
    expect(result).toMatchObject({ scoredTokens: count, chunks: 3, maxSeqLen: 16 })
    expect(result.perplexity).toBeCloseTo(Math.exp(sum / count), 9)
    expect((await cli(new TinyEngine(), ['perplexity', 'm', '-f', at('text.txt'), '--ctx', '16'])).out).toMatch(/^PPL = \d+\.\d{4} \+\/- \d+\.\d{5} {2}\(84 scored tokens, 12 windows of 16\)\n$/)
  })

  it('stores a base and compares with it', async () => {
    writeFileSync(at('text.txt'), text)
    const base = at('base.kld')
    await cli(new TinyEngine(), ['perplexity', 'm', '-f', at('text.txt'), '--ctx', '16', '--chunks', '4', '--save-logits', base])
    const bytes = readFileSync(base)
    expect(bytes.subarray(0, 8).toString()).toBe('_logits_')
    expect([bytes.readInt32LE(8), bytes.readInt32LE(12), bytes.readInt32LE(16), bytes.readInt32LE(20)]).toEqual([16, tinyVocabSize, 4, 0])
    expect(bytes.length).toBe(20 + 4 * 16 * 4 + 4 * 7 * (tinyVocabSize + 4) * 2)
    const same = json(await cli(new TinyEngine(), ['perplexity', 'm', '--kld', base, '--json'])) as { divergence: { mean: number }, count: number, sameTop: { share: number } }
    expect(same).toMatchObject({ count: 28, chunks: 4, sameTop: { share: 1 } })
    expect(Math.abs(same.divergence.mean)).toBeLessThan(1e-4)
    expect((await cli(new TinyEngine(), ['perplexity', 'm', '--kld', base, '--chunks', '1'])).out).toContain('Mean KLD')
    writeFileSync(at('cut.kld'), bytes.subarray(0, 500))
    expect(await cli(new TinyEngine(), ['perplexity', 'm', '--kld', at('cut.kld')])).toMatchObject({ code: 1, error: expect.stringContaining('is damaged') })
    bytes.writeInt32LE(99999, 24)
    writeFileSync(at('bad.kld'), bytes)
    expect((await cli(new TinyEngine(), ['perplexity', 'm', '--kld', at('bad.kld')])).error).toContain('outside the vocabulary')
  })

  it('compares with a live base and closes both models', async () => {
    writeFileSync(at('text.txt'), text)
    const engine = new TinyEngine()
    const argv = ['perplexity', 'm', '--base', 'other', '-f', at('text.txt'), '--ctx', '16', '--chunks', '4', '--base-exact', '--json']
    expect(json(await cli(engine, argv))).toMatchObject({ count: 28, chunks: 4, divergence: { mean: 0, maximum: 0, minimum: 0 }, sameTop: { share: 1 } })
    expect(engine.loads.map(({ options }) => options?.exact ?? false)).toEqual([false, true])
    expect(engine.closed).toBe(2)
  })

  it('refuses texts that are too short', async () => {
    writeFileSync(at('short.txt'), 'short')
    expect((await cli(new TinyEngine(), ['perplexity', 'm', '-f', at('short.txt')])).error).toContain('The text has 6 tokens; at least 1024 are needed for windows of 512.')
  })
})

describe('verify', () => {
  it('passes a sound model', async () => {
    const result = await cli(new TinyEngine(), ['verify', 'm'])
    expect(result.code).toBe(0)
    expect(result.out).toMatch(/decode equals prefill +PASS +8 greedy tokens/)
    expect(result.out).toMatch(/assumed +NOTE +n_expert_groups 4/)
    expect(result.out.endsWith('\nPASS\n')).toBe(true)
  })

  const faults: [string, ConstructorParameters<typeof TinyEngine>[0], string][] = [
    ['decode and prefill differ', { decodeDiffers: true }, 'decode equals prefill'],
    ['logits are not numbers', { notFinite: true }, 'finite logits'],
    ['the decoder loses text', { brokenDecoder: true }, 'tokenizer round trip'],
    ['the template drops the message', { chatTemplate: 'nothing' }, 'chat template'],
    ['the architecture is unknown', { unsupported: 'architecture x is not known' }, 'architecture'],
  ]
  it.each(faults)('fails when %s', async (_, options, name) => {
    const result = await cli(new TinyEngine(options), ['verify', 'm', '--json'])
    expect(result.code).toBe(1)
    const { passed, checks } = json(result) as { passed: boolean, checks: { name: string, verdict: string }[] }
    expect(passed).toBe(false)
    expect(checks.filter(({ verdict }) => verdict === 'FAIL').map(check => check.name)).toEqual([name])
  })
})
