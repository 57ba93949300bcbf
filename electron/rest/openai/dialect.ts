// The OpenAI dialect: its routes and its way to write errors.
import { type Dialect, type RequestContext, sendJson } from '../dialect'
import { openAiErrorBody } from '../errors'
import { resolveModel } from '../models'
import type { RestModel } from '../services'
import { chatCompletions, countInputTokens } from './chat'
import { completions } from './completions'

export const openAiDialect: Dialect = {
  name: 'openai',
  errorBody: openAiErrorBody,
  routes: [
    { method: 'GET', path: '/v1/models', scope: 'infer', handle: listModels },
    { method: 'GET', path: '/v1/models/:id*', scope: 'infer', handle: showModel },
    { method: 'POST', path: '/v1/chat/completions', scope: 'infer', handle: chatCompletions },
    { method: 'POST', path: '/v1/chat/completions/input_tokens', scope: 'infer', handle: countInputTokens },
    { method: 'POST', path: '/v1/completions', scope: 'infer', handle: completions },
  ],
}

function listModels({ services, response }: RequestContext): void {
  const models = services.listModels().filter(model => model.state !== 'broken')
  sendJson(response, 200, { object: 'list', data: models.map(modelObject) })
}

function showModel({ services, response, params }: RequestContext): void {
  sendJson(response, 200, modelObject(resolveModel(services.listModels(), params.id ?? '')))
}

function modelObject(model: RestModel): Record<string, unknown> {
  const { card } = model
  return {
    id: model.id, object: 'model', created: Math.floor(model.addedAt / 1000), owned_by: 'moebius',
    state: model.state, max_context_length: model.maxSeqLen,
    ...(card && {
      arch: card.architecture,
      quant_format: [...card.quantFormats].sort((a, b) => b.bytes - a.bytes)[0]?.format ?? '',
      moe: card.nRoutedExperts > 0
        ? { n_routed_experts: card.nRoutedExperts, n_active_experts: card.nActiveExperts, n_shared_experts: card.nSharedExperts }
        : null,
    }),
  }
}
