// Services with scripted answers.
import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type GenerationStats, type ModelCard, WorkbenchError } from '../../electron/contract'
import type { RestModel, RestRequest, RestServices, RestToken } from '../../electron/rest'

export const token = 'mb-test-token'
export const manageToken = 'mb-manage-token'

export function storedToken(name: string, text: string, scopes: RestToken['scopes'] = ['infer'], expiresAt?: number): RestToken {
  return { name, sha256: createHash('sha256').update(text).digest('hex'), scopes, ...(expiresAt !== undefined && { expiresAt }) }
}

const card: ModelCard = {
  name: 'Demo', architecture: 'deepseek2', supported: true, unsupportedReason: '', license: 'mit', parametersTotal: 1, parametersActive: 1, fileBytes: 1, nTensors: 1, nLayers: 6,
  embeddingLength: 128, nRoutedExperts: 32, nActiveExperts: 4, nSharedExperts: 1, nExpertGroups: 4, nActiveGroups: 2, nDenseLayers: 1, nMtpLayers: 1, maxSeqLen: 512, vocabSize: 4096,
  tokenizer: 'gpt2', hasChatTemplate: true, bitsPerWeight: 16, bytesPerToken: 1, quantFormats: [{ format: 'F32', nTensors: 3, bytes: 10 }, { format: 'F16', nTensors: 1, bytes: 99 }],
  tensorClassBytes: { experts: 0, sharedExperts: 0, attention: 0, dense: 0, router: 0, head: 0, embedding: 0, norms: 0, other: 0 }, derived: [], warnings: [], ignoredTensors: [],
}

export const models: RestModel[] = [
  { id: 'moebius-demo-6m', aliases: ['demo'], state: 'loaded', addedAt: 1_700_000_000_000, card, maxSeqLen: 512 },
  { id: 'qwen3-30b-a3b-q4_k_m', aliases: [], state: 'not-loaded', addedAt: 1_700_000_001_000, card: { ...card, nRoutedExperts: 0 }, maxSeqLen: 32768 },
  { id: 'broken-file', aliases: [], state: 'broken', addedAt: 1_700_000_002_000, card: undefined, maxSeqLen: 0 },
]

export function statistics(change: Partial<GenerationStats> = {}): GenerationStats {
  return {
    promptTokens: 12, cachedTokens: 4, generatedTokens: 3, promptMs: 8, decodeMs: 6, timeToFirstTokenMs: 9, tokensPerSecond: 500, promptTokensPerSecond: 1000,
    seqLen: 15, maxSeqLen: 512, seed: 7, stopReason: 'stop', ...change,
  }
}

export class FakeServices implements RestServices {
  readonly requests: RestRequest[] = []
  readonly cancelled: string[] = []
  readonly used: string[] = []
  storedTokens: RestToken[] = []

  listModels(): readonly RestModel[] { return models }
  tokens(): readonly RestToken[] { return this.storedTokens }
  didUseToken(name: string): void { this.used.push(name) }

  async generate(request: RestRequest, onEvent: Parameters<RestServices['generate']>[1], signal: AbortSignal): Promise<GenerationStats> {
    this.requests.push(request)
    const script = scriptOf(request)
    if (script === 'too long') throw new WorkbenchError('E_CONTEXT_LENGTH', 'too long', { detail: { promptTokens: 40186, maxTokens: request.maxTokens, maxSeqLen: 32768 } })
    if (script === 'queue full') throw new WorkbenchError('E_QUEUE_FULL', 'The queue is full.', { retryable: true, detail: { retryAfterSeconds: 3 } })
    if (script === 'no memory') throw new WorkbenchError('E_MEMORY', 'The model needs 40 GiB, 8 GiB are free.', { hint: 'Choose a shorter context.' })
    if (script === 'bug') throw new TypeError('secret detail')
    if (script === 'refused') throw new WorkbenchError('E_BAD_REQUEST', 'Conversation roles must alternate')
    onEvent({ type: 'admitted', promptTokens: 12 })
    if (script === 'fails in prefill') throw new WorkbenchError('E_NATIVE', 'The kernel failed.')
    onEvent({ type: 'prompt-progress', processed: 12, total: 12, cached: 4 })
    if (script === 'slow prefill') await delay(120)
    if (script === 'endless') return this.endless(request, onEvent, signal)
    if (script === 'think') onEvent({ type: 'reasoning', text: 'let me ' })
    if (script === 'think') onEvent({ type: 'reasoning', text: 'see' })
    onEvent({ type: 'content', text: 'Hel' })
    await delay(1)
    if (script === 'fails later') throw new WorkbenchError('E_DEVICE_LOST', 'The device went away.', { hint: 'Load the model again.' })
    onEvent({ type: 'content', text: 'lo' })
    return statistics(script === 'cut' ? { stopReason: 'length' } : script === 'stopped' ? { stopReason: 'cancelled' } : {})
  }

  countTokens(request: RestRequest): Promise<number> {
    return Promise.resolve(scriptOf(request).length)
  }

  private async endless(request: RestRequest, onEvent: Parameters<RestServices['generate']>[1], signal: AbortSignal): Promise<GenerationStats> {
    while (!signal.aborted) {
      onEvent({ type: 'content', text: 'x' })
      await delay(2)
    }
    this.cancelled.push(request.requestId)
    throw new WorkbenchError('E_CANCELLED', 'cancelled')
  }
}

// The last message or the prompt chooses what happens.
function scriptOf({ input }: RestRequest): string {
  if ('messages' in input) return input.messages.at(-1)?.content ?? ''
  return typeof input.prompt === 'string' ? input.prompt : 'hi'
}
