// The host's services in the form the dialects want them.
import type { GenerationStats } from '../contract'
import type { InferenceRequest, InferenceService } from '../services/inference'
import type { LibraryModel, ModelLibrary } from '../services/model-library'
import type { ModelService } from '../services/models'
import type { RestEvent, RestModel, RestRequest, RestServices, RestToken } from './services'

export interface WorkbenchServices {
  library: Pick<ModelLibrary, 'list'>
  models: Pick<ModelService, 'status'>
  inference: Pick<InferenceService, 'generate' | 'countTokens'>
  tokens: { list(): readonly RestToken[], didUse(name: string): void }
}

// Models that a request loaded are unloaded after this time without another one.
const idleUnloadMs = 60 * 60_000

export function createRestServices({ library, models, inference, tokens }: WorkbenchServices): RestServices {
  return {
    listModels() {
      const { loaded } = models.status()
      return library.list().map(model => toRestModel(model, loaded.find(({ modelId }) => modelId === model.id)))
    },
    generate: (request, onEvent, signal) => generate(inference, request, onEvent, signal),
    countTokens: (request, signal) => inference.countTokens(toInference(request, signal)),
    tokens: () => tokens.list(),
    didUseToken: name => tokens.didUse(name),
  }
}

function toRestModel(model: LibraryModel, loaded: { state: string, maxSeqLen: number } | undefined): RestModel {
  return {
    id: model.id, aliases: [], addedAt: model.addedAt, card: model.card,
    state: model.state !== 'ready' ? 'broken' : loaded === undefined ? 'not-loaded' : loaded.state === 'loading' ? 'loading' : 'loaded',
    maxSeqLen: loaded !== undefined && loaded.maxSeqLen > 0 ? loaded.maxSeqLen : model.card?.maxSeqLen ?? 0,
  }
}

function toInference(request: RestRequest, signal: AbortSignal): InferenceRequest {
  const { requestId, modelId, input, sampling, maxTokens, stop, splitReasoning, templateVariables } = request
  return { modelId, ...input, templateVariables, sampling, maxTokens, stop, splitReasoning, owner: `rest:${requestId}`, keepAliveMs: idleUnloadMs, signal }
}

async function generate(inference: WorkbenchServices['inference'], request: RestRequest, onEvent: (event: RestEvent) => void, signal: AbortSignal): Promise<GenerationStats> {
  const { stats } = await inference.generate(toInference(request, signal), {
    onAdmitted: promptTokens => onEvent({ type: 'admitted', promptTokens }),
    onPromptProgress: (processed, total, cached) => onEvent({ type: 'prompt-progress', processed, total, cached }),
    onReasoning: text => onEvent({ type: 'reasoning', text }),
    onContent: text => onEvent({ type: 'content', text }),
  })
  return stats
}
