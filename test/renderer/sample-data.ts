import type { CalibrationStatus, Conversation, EngineStatus, Message, ModelCard, ModelEntry, SamplingSettings, ServerStatus, Settings } from '../../electron/contract'

export const sampling: SamplingSettings = { temperature: 0.8, samplingTopK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1, seed: -1, maxTokens: 0, draft: 'auto', draftTokens: 1 }

export const settings: Settings = {
  theme: 'system', locale: 'system', lastModelId: '', maxSeqLen: 0, cacheFormat: 'f16', threads: 0, exact: false, bf16Attention: false, expertMemory: {}, sampling, systemPrompt: '',
  serverPort: 7117, serverEnabled: false, serverRequireToken: true, modelFolders: [], showRoutingStrip: true, reduceMotion: 'system',
}

export function card(patch: Partial<ModelCard> = {}): ModelCard {
  return {
    name: 'Moebius Demo 6M', architecture: 'deepseek2', supported: true, unsupportedReason: '', license: 'mit', parametersTotal: 6_110_000, parametersActive: 1_800_000,
    fileBytes: 12_400_000, nTensors: 118, nLayers: 6, embeddingLength: 128, nRoutedExperts: 32, nActiveExperts: 4, nSharedExperts: 1, nExpertGroups: 4, nActiveGroups: 2,
    nDenseLayers: 1, nMtpLayers: 1, maxSeqLen: 512, vocabSize: 4096, tokenizer: 'gpt2 / gpt-2', hasChatTemplate: true, bitsPerWeight: 16.01, bytesPerToken: 3_600_000,
    quantFormats: [{ format: 'F16', nTensors: 70, bytes: 12_100_000 }, { format: 'F32', nTensors: 48, bytes: 60_000 }],
    tensorClassBytes: { experts: 7_800_000, sharedExperts: 250_000, attention: 1_500_000, dense: 300_000, router: 82_000, head: 0, embedding: 1_050_000, norms: 12_000, other: 1_100_000 },
    derived: [{ name: 'n_routed_experts', value: '32', origin: 'key' }, { name: 'kv_lora_rank', value: '64', origin: 'tensor' }, { name: 'rope_freq_base', value: '10000', origin: 'default' }],
    warnings: [], ignoredTensors: [], ...patch,
  }
}

const estimate = {
  seqLen: 512, weightsBytes: 12_400_000, cacheBytes: 983_040, scratchBytes: 5_000_000, totalBytes: 18_383_040, availableBytes: 19e9, fits: true,
  experts: { memoryBytes: 0, slotsPerLayer: 0, routedExperts: 32, leastBytes: 1_200_000, mostBytes: 9_600_000 },
}
export const demo: ModelEntry = { id: 'moebius-demo-6m', path: '/opt/moebius/resources/models/moebius-demo-6m.gguf', parts: 1, builtIn: true, addedAt: 1, state: 'ready', card: card(), estimate }
export const large: ModelEntry = {
  id: 'deepseek-v3-q4_k_m', path: '/models/DeepSeek-V3/DeepSeek-V3-Q4_K_M-00001-of-00009.gguf', parts: 9, builtIn: false, addedAt: 2, state: 'ready',
  card: card({
    name: 'DeepSeek V3', license: 'deepseek', parametersTotal: 671e9, parametersActive: 37e9, fileBytes: 404e9, nTensors: 1025, nLayers: 61, embeddingLength: 7168, nRoutedExperts: 256, nActiveExperts: 8,
    nExpertGroups: 8, nActiveGroups: 4, nDenseLayers: 3, maxSeqLen: 163_840, vocabSize: 129_280, tokenizer: 'gpt2 / deepseek-v3', bitsPerWeight: 4.82, bytesPerToken: 22e9,
    quantFormats: [{ format: 'Q4_K', nTensors: 606, bytes: 350e9 }, { format: 'Q6_K', nTensors: 58, bytes: 53e9 }, { format: 'F32', nTensors: 361, bytes: 1e9 }],
    tensorClassBytes: { experts: 380e9, sharedExperts: 4e9, attention: 12e9, dense: 2e9, router: 0.5e9, head: 0.7e9, embedding: 0.5e9, norms: 1e7, other: 0 },
    warnings: ['The file has no tensors of the MTP layer: drafting is off.'],
  }),
  estimate: { seqLen: 32_768, weightsBytes: 404e9, cacheBytes: 2.4e9, scratchBytes: 3e9, totalBytes: 409.4e9, availableBytes: 19e9, fits: false, experts: { memoryBytes: 0, slotsPerLayer: 0, routedExperts: 256, leastBytes: 12e9, mostBytes: 381e9 } },
}
export const dense: ModelEntry = {
  id: 'qwen3-4b', path: '/models/qwen3-4b.gguf', parts: 1, builtIn: false, addedAt: 3, state: 'ready',
  card: card({ name: 'Qwen3 4B', architecture: 'qwen3', supported: false, unsupportedReason: 'The architecture "qwen3" is read but not computed by this version.', nRoutedExperts: 0, nActiveExperts: 0, parametersTotal: 4e9, parametersActive: 4e9, fileBytes: 2.5e9, nMtpLayers: 0 }),
}
export const broken: ModelEntry = {
  id: 'broken', path: '/models/broken.gguf', parts: 1, builtIn: false, addedAt: 4, state: 'broken',
  problem: { code: 'E_GGUF', message: 'broken.gguf: tensor "blk.2.ffn_up_exps.weight" ends at byte 9123456, after the end of the file (8388608).', hint: 'Download the file again.', detail: { offset: 9_123_456 }, retryable: false },
}

export const calibrationStatus: CalibrationStatus = {
  phase: 'idle', progress: 0,
  calibration: {
    cpuBrand: 'AMD EPYC', cpuLevel: 'avx512', threads: 2, readBytesPerSecond: 23.4e9, int8OperationsPerSecond: 920e9, f32OperationsPerSecond: 230e9,
    thresholds: { tileColumns: { F32: 16, F16: 48, Q8_0: 24, Q4_K: 10, Q6_K: 16, IQ2_XXS: 5, BF16: 48 }, mlaAbsorbedCost: 1.853, mlaExpandsFrom: 76, mlaHistory: 4096 }, engineVersion: '0.1.0',
    bf16OperationsPerSecond: 0, durationMs: 1600, measuredAt: Date.UTC(2026, 0, 2, 12),
  },
}

export const engineStatus: EngineStatus = {
  version: '0.1.0',
  backends: [
    { id: 'cpu', available: true, reason: '', device: 'AMD EPYC 9B14', level: 'avx512-vnni', hasBf16Attention: true },
    { id: 'cuda', available: false, reason: 'libcuda.so.1 was not found: no NVIDIA driver is installed.', device: '', level: '', hasBf16Attention: false },
    { id: 'metal', available: false, reason: 'Metal exists on macOS only.', device: '', level: '', hasBf16Attention: false },
  ],
  cpuLevels: ['avx2', 'avx512', 'avx512-vnni'], threads: 2, loaded: [], memory: { totalBytes: 25e9, availableBytes: 19e9, hostBytes: 9e7 }, tokensPerSecond: 0, activeGenerations: 0,
}
export const serverStatus: ServerStatus = { state: 'stopped', host: '127.0.0.1', port: 7117, urls: [], requireToken: true, requests: 0, activeRequests: 0 }

export const stats = {
  promptTokens: 31, cachedTokens: 12, generatedTokens: 58, promptMs: 40, decodeMs: 260, timeToFirstTokenMs: 45, tokensPerSecond: 222.4, promptTokensPerSecond: 775,
  seqLen: 89, maxSeqLen: 512, seed: 42, stopReason: 'stop' as const,
}

export function message(patch: Partial<Message> & Pick<Message, 'id' | 'role'>): Message {
  return { conversationId: 'c1', content: '', reasoning: '', reasoningMs: 0, createdAt: 1, state: 'complete', ...patch }
}

const markdownSample = `A mixture of experts sends each token through **a few** of many small networks.

1. The router scores every expert.
2. The best four run; their answers are added.

| part | share of the bytes |
|---|---|
| experts | 64 % |
| attention | 12 % |

\`\`\`python
def route(scores, n_active):
    # the best experts win
    best = sorted(range(len(scores)), key=lambda i: -scores[i])
    return best[:n_active]
\`\`\`

More at [the paper](https://example.org/paper?q=secret) and here: ![chart](https://example.org/x.png?q=secret)
`

export function conversation(patch: Partial<Conversation> = {}): Conversation {
  const now = Date.now()
  return {
    id: 'c1', title: 'How does a router choose?', createdAt: now - 5000, updatedAt: now, modelId: demo.id, nMessages: 4, systemPrompt: '', sampling, activeLeafId: 'm4',
    messages: [
      message({ id: 'm1', role: 'user', content: 'How does a router choose its experts?', createdAt: now - 5000 }),
      message({ id: 'm2', role: 'assistant', parentId: 'm1', content: markdownSample, reasoning: 'The user wants a short explanation.\nScores, then the best four.', reasoningMs: 2300, createdAt: now - 4900, modelId: demo.id, stats }),
      message({ id: 'm3', role: 'user', parentId: 'm2', content: 'What is 12 * 3?', createdAt: now - 4000 }),
      message({ id: 'm4', role: 'assistant', parentId: 'm3', content: '36', reasoning: '12 * 1 = 12. 12 * 2 = 24. 12 * 3 = 36.', reasoningMs: 400, createdAt: now - 3900, modelId: demo.id, stats }),
      message({ id: 'm5', role: 'assistant', parentId: 'm3', content: 'Thirty-six.', createdAt: now - 3950, modelId: demo.id, stats: { ...stats, stopReason: 'cancelled' } }),
    ], ...patch,
  }
}
