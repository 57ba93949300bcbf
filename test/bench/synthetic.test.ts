// Parts of the generator's shapes on the real engine: they load and generate, and peak memory
// stays what is promised.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createNativeEngine } from '../../electron/engine/native'
import { findAddon } from '../../electron/engine/native-addon'

const folder = mkdtempSync(join(tmpdir(), 'moebius-synthetic-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

function run(script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, script), ...args], { encoding: 'utf8', env: { ...process.env, MOEBIUS_ADDON: findAddon() ?? '' } })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout
}

const parts: [shape: string, ...args: string[]][] = [
  ['v2-lite', '--layers', '2', '--experts', '8', '--vocab', '32256'],
  ['v3-like', '--layers', '1', '--experts', '16', '--vocab', '32256'],
  ['qwen3-30b', '--layers', '1', '--experts', '16', '--vocab', '32256'],
  ['mixtral', '--layers', '1', '--experts', '2'],
  ['dense-1.5b', '--layers', '1', '--vocab', '32256'],
]

describe.runIf(findAddon() !== undefined)('synthetic models', () => {
  it.each(parts.flatMap(part => ['Q4_K', 'IQ4_XS'].map(format => [format, ...part])))('%s %s loads and generates', async (format, shape, ...args) => {
    const path = join(folder, 'model.gguf')
    run('make-model.mjs', '--shape', shape!, '--format', format, '--out', path, ...args)
    const model = await createNativeEngine().load(path, { threads: 1 })
    try {
      expect(model.card.nLayers).toBe(Number(args[1]))
      expect(model.moe === undefined).toBe(shape === 'dense-1.5b')
      const session = model.createSession({ maxSeqLen: 64, cacheFormat: 'f16' })
      const ids: number[] = []
      const sampling = { temperature: 0, samplingTopK: 0, topP: 1, minP: 0, repeatPenalty: 1, seed: 1 }
      await session.generate({ tokens: [1, 20, 300, 4000], maxTokens: 3, sampling, ignoreEndOfGeneration: true }, { onToken: token => { ids.push(token.id) } })
      expect(ids.length).toBe(3)
      const logits = await session.logits([1, 20])
      expect(logits.every(Number.isFinite)).toBe(true)
    } finally {
      await model.close()
    }
  })

  it.runIf(process.platform === 'linux')('take their weights, caches and the announced scratch, and little more', () => {
    const path = join(folder, 'memory.gguf')
    run('make-model.mjs', '--shape', 'v3-like', '--layers', '3', '--experts', '32', '--vocab', '32256', '--out', path)
    const figures = JSON.parse(run('memory.mjs', path, '-p', '512', '-n', '8', '-t', '1', '--json')) as Record<'weightsBytes' | 'cacheBytes' | 'scratchBytes' | 'anonymousBytes' | 'peakBytes', number>
    const { weightsBytes, cacheBytes, scratchBytes, anonymousBytes, peakBytes } = figures
    // The tokenizer, tables, threads' stacks and the script itself.
    const rest = 32 * 2 ** 20
    expect(weightsBytes).toBeGreaterThan(250 * 2 ** 20)
    expect(anonymousBytes).toBeLessThan(cacheBytes + scratchBytes + 0.05 * weightsBytes + rest)
    expect(peakBytes).toBeLessThan(1.05 * weightsBytes + cacheBytes + scratchBytes + rest)
    // Nothing of the file is copied, and the scratch of 512 tokens does not depend on its size.
    expect(scratchBytes).toBeLessThan(96 * 2 ** 20)
  })
})
