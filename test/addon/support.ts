// What the addon tests share: the engine, the raw addon beneath it, the built-in model.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { findAddon } from '../../electron/engine/native-addon'
import { createNativeEngine } from '../../electron/engine/native'
import type { Engine, EngineModel, EngineSession, GeneratedToken, GenerateRequest, GenerationResult, Sampling } from '../../electron/engine/types'
import type { Addon, GenerateRequest as RawRequest } from '../../native/addon'

export const root = join(import.meta.dirname, '../..')
export const demoPath = join(root, 'resources/models/moebius-demo-6m.gguf')
export const greedyCheck = (JSON.parse(readFileSync(demoPath.replace('.gguf', '.json'), 'utf8')) as {
  greedy_check: { prompt_ids: number[], continuation_ids: number[] }
}).greedy_check

export function rawAddonPath(): string {
  return findAddon() ?? join(root, 'native/build/Release/native.node')
}

export function rawAddon(): Addon {
  createEngine()  // says how to build a missing addon
  return createRequire(import.meta.url)(rawAddonPath()) as Addon
}

export function createEngine(): Engine {
  return createNativeEngine()
}

export const greedy: Sampling = { temperature: 0, samplingTopK: 0, topP: 1, minP: 0, repeatPenalty: 1, seed: 1 }
// Draws from the whole distribution: long answers that depend on the seed.
export const wild: Sampling = { ...greedy, temperature: 1, seed: 42 }

export interface Answer {
  tokens: GeneratedToken[]
  ids: number[]
  text: string
  result: GenerationResult
  progress: [number, number, number][]
}

export async function answer(
  session: EngineSession, request: GenerateRequest, options: { signal?: AbortSignal, onToken?: (token: GeneratedToken, index: number) => void } = {},
): Promise<Answer> {
  const tokens: GeneratedToken[] = []
  const progress: [number, number, number][] = []
  const result = await session.generate(request, {
    ...(options.signal && { signal: options.signal }),
    onPromptProgress: (...step) => { progress.push(step) },
    onToken: token => {
      tokens.push(token)
      options.onToken?.(token, tokens.length - 1)
    },
  })
  const text = tokens.map(token => token.text).join('') + (result.trailingText ?? '')
  return { tokens, ids: tokens.map(token => token.id), text, result, progress }
}

export function rawRequest(tokens: number[], maxTokens: number, changes: Partial<RawRequest> = {}): RawRequest {
  return {
    tokens: Int32Array.from(tokens), maxTokens, stopIds: new Int32Array(), stopAtEndOfGeneration: false, printSpecial: false, draftMode: 'off', draftTokens: 1,
    grammar: '', jsonSchema: '', temperature: 1, samplingTopK: 0, topP: 1, minP: 0, typicalP: 1, topNSigma: 0,
    xtcProbability: 0, xtcThreshold: 0.1, mirostat: false, mirostatTau: 5, mirostatEta: 0.1, repeatPenalty: 1, repeatLastN: 64,
    frequencyPenalty: 0, presencePenalty: 0, dryMultiplier: 0, dryBase: 1.75, dryAllowedLength: 2, dryPenaltyLastN: -1,
    logitBiasIds: new Int32Array(), logitBiases: new Float32Array(), order: [], seed: 42, nProbs: 0, ...changes,
  }
}

export async function withModel<T>(path: string, run: (model: EngineModel) => Promise<T>, exact = true): Promise<T> {
  const model = await createEngine().load(path, { exact })
  try {
    return await run(model)
  } finally {
    await model.close()
  }
}
