// What the REST dialects need of the host's services. The composition root adapts the real
// services to it; tests hand in a fake. Dialects see nothing else.
import type { GenerationStats, ModelCard, Scope } from '../contract'

export interface RestModel {
  id: string
  // Further names that mean this model.
  aliases: readonly string[]
  state: 'loaded' | 'loading' | 'not-loaded' | 'broken'
  addedAt: number             // milliseconds since 1970
  card: ModelCard | undefined
  // Of the loaded instance, else the model's own limit.
  maxSeqLen: number
}

export interface RestMessage {
  role: 'system' | 'user' | 'assistant'
  content: string
  [field: string]: unknown
}

export interface RestSampling {
  temperature?: number
  samplingTopK?: number
  topP?: number
  minP?: number
  typicalP?: number
  repeatPenalty?: number
  frequencyPenalty?: number
  presencePenalty?: number
  logitBias?: { token: number, bias: number }[]
  seed?: number
  grammar?: string
  jsonSchema?: string
}

export interface RestRequest {
  requestId: string
  modelId: string
  // A conversation for the chat template, or a text or tokens to go on with.
  input: { messages: RestMessage[] } | { prompt: string | number[] }
  sampling: RestSampling      // what is absent takes the service's defaults
  maxTokens: number           // 0: what is left of the context
  stop: string[]
  // false: reasoning stays in the content, tags and all.
  splitReasoning: boolean
  templateVariables: Record<string, unknown>
}

export type RestEvent =
  // The prompt fits, the model is loaded and a slot is free: from here on only the engine can fail.
  | { type: 'admitted', promptTokens: number }
  | { type: 'prompt-progress', processed: number, total: number, cached: number }
  | { type: 'reasoning', text: string }
  | { type: 'content', text: string }

export interface RestServices {
  listModels(): readonly RestModel[]
  // Calls onEvent in order, resolves with the figures of the whole answer. Rejects with a
  // WorkbenchError; E_CANCELLED when the signal fired. E_CONTEXT_LENGTH carries
  // detail { promptTokens, maxTokens, maxSeqLen }.
  generate(request: RestRequest, onEvent: (event: RestEvent) => void, signal: AbortSignal): Promise<GenerationStats>
  // The length of a request's prompt. Rejects as generate does before it admits.
  countTokens(request: RestRequest, signal: AbortSignal): Promise<number>
  tokens(): readonly RestToken[]
  // Tells that a token was used, for its "last use".
  didUseToken?(name: string): void
}

export interface RestToken {
  name: string
  sha256: string              // of the token's UTF-8 text, lower-case hex
  scopes: readonly Scope[]
  expiresAt?: number          // milliseconds since 1970
}
