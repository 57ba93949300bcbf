// From the name on the command line to a file: a path, the built-in model, or the id of an
// indexed one. The database is only read: the running program may be writing to it.
import { existsSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { WorkbenchError } from '../../contract'
import { nearestNames } from '../../rest/nearest'

export const builtInModelId = 'moebius-demo-6m'

export interface ModelPlaces {
  builtInModel: string
  database: string
}

export function findModel(name: string, places: ModelPlaces): string {
  const path = resolve(name)
  if (existsSync(path) && !statSync(path).isDirectory()) return path
  const indexed = indexedModels(places.database)
  const known = new Map([...indexed, [builtInModelId, places.builtInModel]])
  const found = known.get(name) ?? known.get(name.toLowerCase())
  if (found !== undefined) {
    if (existsSync(found)) return found
    throw new WorkbenchError('E_NOT_FOUND', `The file of the model '${name}' is not there any more: ${found}.`)
  }
  const looksLikePath = /[\\/]|\.gguf$/i.test(name)
  throw new WorkbenchError(looksLikePath ? 'E_NOT_FOUND' : 'E_MODEL_UNKNOWN', looksLikePath ? `There is no file ${path}.` : `There is no model '${name}'.`, {
    hint: `MODEL is a path or one of: ${nearestNames(name, [...known.keys()], 5).join(', ')}.`,
  })
}

// Empty when there is no database yet, or none this program understands.
function indexedModels(file: string): [string, string][] {
  if (!existsSync(file)) return []
  try {
    const database = new DatabaseSync(file, { readOnly: true })
    try {
      return database.prepare('SELECT id, path FROM model').all().map(({ id, path }) => [String(id), String(path)])
    } finally {
      database.close()
    }
  } catch {
    return []
  }
}
