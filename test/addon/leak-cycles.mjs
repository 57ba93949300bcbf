// Run with --expose-gc in a process of its own: what a test runner allocates would hide a leak.
// Repeats one cycle, prints the growth of resident memory in bytes after a warm-up.
import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'

const [addonPath, modelPath, cycle, warmUp, count] = process.argv.slice(2)
const addon = createRequire(import.meta.url)(addonPath)
const none = new Int32Array()
const request = {
  tokens: Int32Array.of(300), maxTokens: 2, stopIds: none, stopAtEndOfGeneration: false, printSpecial: false, draftMode: 'off', draftTokens: 1, grammar: '', jsonSchema: '',
  temperature: 1, samplingTopK: 0, topP: 1, minP: 0, typicalP: 1, topNSigma: 0, xtcProbability: 0, xtcThreshold: 0.1, mirostat: false,
  mirostatTau: 5, mirostatEta: 0.1, repeatPenalty: 1, repeatLastN: 64, frequencyPenalty: 0, presencePenalty: 0, dryMultiplier: 0,
  dryBase: 1.75, dryAllowedLength: 2, dryPenaltyLastN: -1, logitBiasIds: none, logitBiases: new Float32Array(), order: [], seed: 1, nProbs: 0,
}
const kept = await addon.loadModel(modelPath, { threads: 1 })

async function use(model) {
  const session = addon.createSession(model, 512, 'f32')
  await addon.generate(session, request, () => undefined)
  return session
}

const cycles = {
  async session() { addon.closeSession(await use(kept)) },
  async 'orphan session'() { await use(kept) },
  async model() {
    const model = await addon.loadModel(modelPath, { threads: 2 })
    await use(model)
    await addon.closeModel(model)
  },
  async 'orphan model'() {
    await use(await addon.loadModel(modelPath, { threads: 2 }))
    // V8 does not see what a handle stands for; uncollected ones would pile up.
    globalThis.gc()
    await pause(1)
  },
  async failure() {
    await addon.loadModel(`${modelPath}.missing`, {}).catch(() => undefined)
    await addon.generate(await use(kept), { ...request, tokens: none }, () => undefined).catch(() => undefined)
  },
}

async function settled() {
  let least = Infinity
  for (let i = 0; i < 8; i++) {
    globalThis.gc()
    await pause(25)
    least = Math.min(least, process.memoryUsage.rss())
  }
  return least
}

async function repeat(n) {
  for (let i = 0; i < n; i++) await cycles[cycle]()
}

await repeat(Number(warmUp))
const before = await settled()
await repeat(Number(count))
console.log((await settled()) - before)
await addon.closeModel(kept)
