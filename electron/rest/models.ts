// How a name in a request finds its model: exactly one, or an error with the nearest names.
import { WorkbenchError } from '../contract'
import { nearestNames } from './nearest'
import type { RestModel } from './services'

export function resolveModel(models: readonly RestModel[], name: string): RestModel {
  const wanted = name.toLowerCase()
  const found = models.find(model => model.id === name)
    ?? models.find(model => model.id.toLowerCase() === wanted || model.aliases.some(alias => alias.toLowerCase() === wanted))
  if (found?.state === 'broken') {
    throw new WorkbenchError('E_MODEL_UNKNOWN', `The model '${found.id}' is in the list, but its file cannot be used.`, { hint: 'The model view says why.', detail: { param: 'model' } })
  }
  if (found) return found
  const near = nearestNames(name, models.flatMap(model => [model.id, ...model.aliases]))
  throw new WorkbenchError('E_MODEL_UNKNOWN', `There is no model '${name}' here.${near.length > 0 ? ` Nearest names: ${near.join(', ')}.` : ' No model is indexed yet.'}`, {
    detail: { param: 'model' },
  })
}
