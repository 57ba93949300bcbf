// Logits and routing of golden models through the addon, as the services see them.
import { describe, expect, it } from 'vitest'
import { goldenFolder, nmsePerRow, readGolden } from '../tools/golden'
import { answer, greedy, withModel } from './support'

// Bounds of test/fixtures/README.md for float activations; gemma's reference has another GELU.
const models: { name: string, nmse: number, maxError: number }[] = [
  { name: 'deepseek2-v3', nmse: 1e-9, maxError: 1e-3 },
  { name: 'deepseek2-v2', nmse: 1e-9, maxError: 1e-3 },
  { name: 'deepseek2-legacy', nmse: 1e-9, maxError: 1e-3 },
  { name: 'deepseek2-v3-q.Q4_K_M', nmse: 1e-9, maxError: 1e-3 },
  { name: 'qwen3moe', nmse: 1e-9, maxError: 1e-3 },
  { name: 'mixtral', nmse: 1e-9, maxError: 1e-3 },
  { name: 'olmoe', nmse: 1e-9, maxError: 1e-3 },
  { name: 'gpt-oss', nmse: 1e-9, maxError: 1e-3 },
  { name: 'glm4moe', nmse: 1e-9, maxError: 1e-3 },
  { name: 'llama', nmse: 1e-9, maxError: 1e-3 },
  { name: 'gemma3', nmse: 1e-6, maxError: 1e-2 },
  { name: 'deepseek2-v2lite', nmse: 1e-8, maxError: 1e-3 },
]

describe.each(models)('golden $name', ({ name, nmse, maxError }) => {
  const missing = goldenFolder(name) === undefined
  it.skipIf(missing)(missing ? 'is not in test/fixtures: set MOEBIUS_GOLDENS' : 'gives the reference logits, experts and greedy tokens', async () => {
    const golden = readGolden(name)
    await withModel(golden.gguf, async model => {
      const session = model.createSession({ maxSeqLen: 128, cacheFormat: 'f32' })
      for (const [sequence, tokens] of Object.entries(golden.sequences)) {
        const logits = await session.logits(tokens)
        expect(session.seqLen).toBe(tokens.length)
        const reference = golden.floats(`${sequence}.logits`)
        expect(Math.max(...nmsePerRow(logits, reference, model.vocabSize)), `${sequence} NMSE`).toBeLessThanOrEqual(nmse)
        expect(logits.reduce((most, x, i) => Math.max(most, Math.abs(x - reference[i]!)), 0)).toBeLessThanOrEqual(maxError)
        if (!model.moe) continue
        const trace = await session.route(tokens)
        expect(trace.layers.map(layer => layer.layer)).toEqual(
          Array.from({ length: model.moe.nLayers }, (_, i) => model.moe!.firstMoeLayer + i))
        compareRoutes(trace, golden.integers(`${sequence}.route_ids`), golden.floats(`${sequence}.route_weights`))
      }
      if (!golden.greedy) return
      const prompt = golden.sequences[golden.greedy.prompt]!
      const { ids } = await answer(session, { tokens: prompt, maxTokens: 32, sampling: greedy, ignoreEndOfGeneration: true })
      const firstUnsure = golden.greedy.gaps.findIndex(gap => gap < 0.01)
      const sure = firstUnsure < 0 ? 32 : firstUnsure
      expect(ids.slice(0, sure)).toEqual(golden.greedy.tokens.slice(0, sure))
    })
  })
})

// The goldens list the experts of a token by id, the engine in the order of selection.
function compareRoutes(trace: { nTokens: number, layers: { ids: Int32Array, weights: Float32Array }[] }, ids: Int32Array, weights: Float32Array): void {
  const nActive = trace.layers[0]!.ids.length / trace.nTokens
  trace.layers.forEach((layer, index) => {
    for (let token = 0; token < trace.nTokens; token++) {
      const mine = Array.from({ length: nActive }, (_, slot) => [layer.ids[token * nActive + slot]!, layer.weights[token * nActive + slot]!] as const)
        .sort(([a], [b]) => a - b)
      const start = (index * trace.nTokens + token) * nActive
      expect(mine.map(([id]) => id), `layer ${index}, token ${token}`).toEqual([...ids.subarray(start, start + nActive)])
      mine.forEach(([, weight], slot) => { expect(Math.abs(weight - weights[start + slot]!)).toBeLessThan(1e-4) })
    }
  })
}
