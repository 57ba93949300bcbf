// npm run bench:memory -- MODEL [-p 512] [-n 32] [-t 2] [--cache-format f16] [--json]
// Peak memory of load, prompt and answer in a process of its own, against the promise: file,
// caches and 5 %. Reads /proc: Linux only.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildNative } from '../../electron/dev/build-native.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const text = otherwise => ({ type: 'string', default: otherwise })
const { values, positionals: [path] } = parseArgs({
  allowPositionals: true,
  options: {
    'prompt': { ...text('512'), short: 'p' }, 'generate': { ...text('32'), short: 'n' }, 'threads': { ...text('2'), short: 't' },
    'cache-format': text('f16'), 'json': { type: 'boolean' },
  },
})
if (!path || process.platform !== 'linux') {
  console.error(path ? 'bench:memory reads /proc and needs Linux' : 'usage: npm run bench:memory -- MODEL [-p TOKENS] [-n TOKENS] [-t THREADS] [--cache-format FORM] [--json]')
  process.exit(2)
}

async function loadAddon() {
  const named = process.env.MOEBIUS_ADDON
  if (!named) await buildNative()
  return createRequire(import.meta.url)(named || join(here, '../../native/build/Release/native.node'))
}

// Bytes: resident now and at most, of which private, of which pages of files.
function resident() {
  const status = readFileSync('/proc/self/status', 'utf8')
  const field = name => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024
  return { now: field('VmRSS'), peak: field('VmHWM'), anonymous: field('RssAnon'), file: field('RssFile') }
}

function request(tokens, maxTokens) {
  return {
    tokens, maxTokens, stopIds: new Int32Array(), stopAtEndOfGeneration: false, printSpecial: false, grammar: '', jsonSchema: '',
    temperature: 0, samplingTopK: 0, topP: 1, minP: 0, typicalP: 1, topNSigma: 0, xtcProbability: 0, xtcThreshold: 0.1,
    mirostat: false, mirostatTau: 5, mirostatEta: 0.1, repeatPenalty: 1, repeatLastN: 64, frequencyPenalty: 0, presencePenalty: 0,
    dryMultiplier: 0, dryBase: 1.75, dryAllowedLength: 2, dryPenaltyLastN: -1, logitBiasIds: new Int32Array(), logitBiases: new Float32Array(),
    order: [], seed: 1, nProbs: 0, draftMode: 'off', draftTokens: 1,
  }
}

async function measure(addon) {
  const [nPrompt, nGenerate, threads] = [values.prompt, values.generate, values.threads].map(Number)
  const seqLen = nPrompt + nGenerate + 1
  const { weightsBytes, cacheBytes, scratchBytes } = await addon.estimate(path, seqLen, values['cache-format'], {}, 0)
  globalThis.gc?.()
  const before = resident()
  // The kernel keeps no peak of private memory: it is sampled while the engine's threads work.
  let anonymous = 0
  const sample = () => { anonymous = Math.max(anonymous, resident().anonymous) }
  const timer = setInterval(sample, 10)
  const model = await addon.loadModel(path, { threads, touchWeights: true })
  const loaded = resident()
  const session = addon.createSession(model, seqLen, values['cache-format'])
  const { vocabSize } = addon.modelInfo(model)
  const tokens = Int32Array.from({ length: nPrompt }, (_, i) => (i * 7919 + 13) % vocabSize)
  await addon.generate(session, request(tokens, nGenerate), sample)
  clearInterval(timer)
  sample()
  const { peak } = resident()
  await addon.closeModel(model)
  return { weightsBytes, cacheBytes, scratchBytes, loadedAnonymousBytes: loaded.anonymous - before.anonymous, anonymousBytes: anonymous - before.anonymous, peakBytes: peak - before.now }
}

function report({ weightsBytes, cacheBytes, scratchBytes, loadedAnonymousBytes, anonymousBytes, peakBytes }) {
  const mib = bytes => `${(bytes / 2 ** 20).toFixed(1)} MiB`
  const beyond = peakBytes - weightsBytes - cacheBytes
  console.log([
    `weights ${mib(weightsBytes)}, cache of ${values.prompt} + ${values.generate} tokens ${mib(cacheBytes)}, scratch announced ${mib(scratchBytes)}`,
    `peak ${mib(peakBytes)}: weights, cache and ${mib(beyond)} (${(100 * beyond / weightsBytes).toFixed(1)} % of the weights; the promise is 5 %)`,
    `private memory ${mib(anonymousBytes)}, of which ${mib(loadedAnonymousBytes)} after the load (tokenizer, tables)`,
  ].join('\n'))
}

const figures = await measure(await loadAddon())
if (values.json) console.log(JSON.stringify(figures))
else report(figures)
