// npm run bench:streaming -- MODEL [-p 64] [-n 16] [-t 2] [--shares mapped,0.25,0.5,1]
// One prompt and one answer of random tokens from a cold disk: with mapped weights, and with
// streamed experts in a share of the memory that holds all. Before each run the file leaves the
// system's cache (dd, Linux); mapped weights are not read in first, as for a file larger than
// memory. Random weights route evenly, the hardest case for a cache of experts.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const path = process.env.MOEBIUS_ADDON ?? join(root, 'native/build/Release/native.node')
const sampling = {
  stopIds: new Int32Array(), stopAtEndOfGeneration: false, printSpecial: false, grammar: '', jsonSchema: '', temperature: 1, samplingTopK: 0, topP: 1, minP: 0, typicalP: 1, topNSigma: 0,
  xtcProbability: 0, xtcThreshold: 0.1, mirostat: false, mirostatTau: 5, mirostatEta: 0.1, repeatPenalty: 1, repeatLastN: 64, frequencyPenalty: 0, presencePenalty: 0,
  dryMultiplier: 0, dryBase: 1.75, dryAllowedLength: 2, dryPenaltyLastN: -1, logitBiasIds: new Int32Array(), logitBiases: new Float32Array(), order: [], seed: 1, nProbs: 0,
}

function leaveCache(files) {
  for (const file of files) {
    const { status, stderr } = spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0'], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`the cache cannot be cleared of ${file}: ${stderr}`)
  }
}

const counters = (addon, model) => addon.streamedExperts(model) ?? { hits: 0, misses: 0, bytesRead: 0, readMs: 0, waitMs: 0 }

// "12.3 t/s, 45 % hits, 1.20 GB at 1.9 GB/s, 34 % waiting"
function line(tokens, ms, before, after) {
  const of = name => after[name] - before[name]
  const speed = `${(tokens / ms * 1000).toFixed(2)} t/s`
  if (of('hits') + of('misses') === 0) return speed
  return `${speed}, ${(100 * of('hits') / (of('hits') + of('misses'))).toFixed(0)} % hits, ${(of('bytesRead') / 1e9).toFixed(2)} GB at ${(of('bytesRead') / of('readMs') / 1e6).toFixed(2)} GB/s, ${(100 * of('waitMs') / ms).toFixed(0)} % waiting`
}

async function measure(addon, file, expertMemory, { nPrompt, nGenerate, threads }) {
  const model = await addon.loadModel(file, { threads, touchWeights: expertMemory > 0, expertMemory })
  try {
    const { vocabSize } = addon.modelInfo(model)
    const session = addon.createSession(model, nPrompt + nGenerate + 2, 'f16')
    let seed = 12345
    const tokens = Int32Array.from({ length: nPrompt }, () => (seed = (seed * 1103515245 + 12345) % 2147483648) % vocabSize)
    const states = [counters(addon, model)]
    const prompt = await addon.generate(session, { ...sampling, tokens, maxTokens: 1 }, () => {})
    states.push(counters(addon, model))
    // The prompt is in the session but for its last token: what follows is decoding.
    const answer = await addon.generate(session, { ...sampling, tokens, maxTokens: nGenerate + 1 }, () => {})
    states.push(counters(addon, model))
    return `prompt ${line(nPrompt, prompt.promptMs, states[0], states[1])}; decode ${line(nGenerate + 1, answer.promptMs + answer.decodeMs, states[1], states[2])}`
  } finally {
    await addon.closeModel(model)
  }
}

async function main() {
  const { positionals: [file], values } = parseArgs({
    allowPositionals: true,
    options: { prompt: { type: 'string', short: 'p', default: '64' }, generate: { type: 'string', short: 'n', default: '16' }, threads: { type: 'string', short: 't', default: '2' }, shares: { type: 'string', default: 'mapped,0.25,0.5,1' } },
  })
  if (file === undefined || !existsSync(path)) throw new Error('usage: npm run bench:streaming -- MODEL [-p N] [-n N] [-t N] [--shares mapped,0.25,0.5,1], after npm run build:native')
  const addon = createRequire(import.meta.url)(path)
  const options = { nPrompt: Number(values.prompt), nGenerate: Number(values.generate), threads: Number(values.threads) }
  const { leastExpertMemory, mostExpertMemory } = await addon.estimate(file, options.nPrompt, 'f16', {}, 0)
  const { info } = await addon.inspect(file, {})
  for (const share of values.shares.split(',')) {
    const memory = share === 'mapped' ? 0 : Math.max(leastExpertMemory, Math.floor(mostExpertMemory * Number(share)))
    leaveCache(info.parts)
    console.log(`${share === 'mapped' ? 'mapped, cold' : `${(memory / 2 ** 20).toFixed(0)} MiB for experts (${share})`}: ${await measure(addon, file, memory, options)}`)
  }
}

await main().catch(error => { console.error(error.message); process.exitCode = 2 })
