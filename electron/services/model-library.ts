// The list of known model files, indexed where they lie. Broken and missing files stay on the
// list with their reason; the built-in model is always first.
import { realpath } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { ModelCard, WorkbenchError, WorkbenchErrorShape, type ModelEntry } from '../contract'
import type { Engine, GgufInspection } from '../engine/types'
import { Emitter } from './emitter'
import { findModelFiles, fileStamp, parseSplitName, type FoundFile } from './model-files'
import type { LogService } from './logs'
import type { Db, Row } from './storage'

export interface LibraryModel {
  id: string
  path: string
  parts: string[]
  builtIn: boolean
  addedAt: number
  size: number
  modifiedAt: number
  state: ModelEntry['state']
  problem: WorkbenchErrorShape | undefined
  card: ModelCard | undefined
}

export interface ImportResult { imported: LibraryModel[], problems: { path: string, error: WorkbenchErrorShape }[] }

export class ModelLibrary {
  readonly onDidChange = new Emitter<LibraryModel[]>()
  private readonly models = new Map<string, LibraryModel>()

  constructor(private readonly db: Db, private readonly engine: Pick<Engine, 'inspect'>, private readonly log: LogService) {
    for (const row of db.prepare('SELECT * FROM model ORDER BY added_at, id').all()) {
      const model = fromRow(row)
      this.models.set(model.id, model)
    }
  }

  list(): LibraryModel[] {
    return [...this.models.values()].sort((a, b) => Number(b.builtIn) - Number(a.builtIn) || a.addedAt - b.addedAt)
  }

  find(modelId: string): LibraryModel | undefined { return this.models.get(modelId) }

  // Throws E_MODEL_UNKNOWN.
  require(modelId: string): LibraryModel {
    const model = this.models.get(modelId)
    if (model) return model
    throw new WorkbenchError('E_MODEL_UNKNOWN', `There is no model "${modelId}".`, { hint: 'Look at the list of models for the exact name.', detail: { known: [...this.models.keys()].slice(0, 100) } })
  }

  // Puts the model that comes with the program on the list; not stored, since it may move with it.
  async addBuiltIn(path: string): Promise<void> {
    const model = await this.sameFile(path) ?? emptyModel(this.freeId(stemOf(path)), path)
    model.builtIn = true
    model.addedAt = 0
    this.models.set(model.id, model)
    await this.inspectInto(model)
    this.announce()
  }

  // Files are checked one by one; what cannot be used comes back as a problem.
  async import(paths: readonly string[]): Promise<ImportResult> {
    const { files, problems } = await findModelFiles(paths)
    const result: ImportResult = { imported: [], problems }
    for (const file of files) {
      const model = await this.importFile(file)
      result.imported.push(model)
      if (model.problem) result.problems.push({ path: model.path, error: model.problem })
    }
    this.announce()
    return result
  }

  // Looks at every file again; headers are read only where size or time changed.
  async rescan(): Promise<void> {
    for (const model of this.list()) {
      const stamp = await fileStamp(model.path)
      const unchanged = stamp && stamp.size === model.size && stamp.modifiedAt === model.modifiedAt
      if (unchanged && model.state === 'ready') continue
      await this.inspectInto(model)
    }
    this.announce()
  }

  async inspect(modelId: string): Promise<GgufInspection> {
    const model = this.require(modelId)
    return this.engine.inspect(model.path)
  }

  // Throws what remove() would.
  requireRemovable(modelId: string): void {
    if (this.require(modelId).builtIn) throw new WorkbenchError('E_CONFLICT', 'The built-in model cannot be taken off the list.')
  }

  remove(modelId: string): void {
    this.requireRemovable(modelId)
    this.db.prepare('DELETE FROM model WHERE id = ?').run(modelId)
    this.models.delete(modelId)
    this.announce()
  }

  private async importFile(file: FoundFile): Promise<LibraryModel> {
    // The path as given: in linked stores only the link has the model's name.
    const model = await this.sameFile(file.path) ?? emptyModel('', resolve(file.path))
    await this.inspectInto(model)
    if (model.id === '') {
      model.id = this.freeId(file.blob ? model.card?.name || basename(model.path).slice(0, 19) : stemOf(model.path))
      model.addedAt = Math.max(Date.now(), 1 + Math.max(0, ...[...this.models.values()].map(({ addedAt }) => addedAt)))
      this.models.set(model.id, model)
    }
    this.store(model)
    this.log.info(model.problem ? `Indexed ${model.id}: ${model.problem.message}` : `Indexed ${model.id}.`)
    return model
  }

  private async inspectInto(model: LibraryModel): Promise<void> {
    const stamp = await fileStamp(model.path)
    model.size = stamp?.size ?? -1
    model.modifiedAt = stamp?.modifiedAt ?? -1
    try {
      if (!stamp) throw new WorkbenchError('E_NOT_FOUND', `The file ${model.path} is not there any more.`, { hint: 'Bring it back, or take the entry off the list.' })
      const { card, parts } = await this.engine.inspect(model.path)
      Object.assign(model, { card, parts, state: 'ready', problem: undefined } satisfies Partial<LibraryModel>)
    } catch (error) {
      const problem = error instanceof WorkbenchError ? error.toShape() : new WorkbenchError('E_IO', `The file ${model.path} cannot be read: ${String(error)}`).toShape()
      Object.assign(model, { card: undefined, state: stamp ? 'broken' : 'missing', problem } satisfies Partial<LibraryModel>)
    }
    if (model.id !== '' && !model.builtIn) this.store(model)
  }

  private async sameFile(path: string): Promise<LibraryModel | undefined> {
    const real = (file: string): Promise<string> => realpath(file).catch(() => resolve(file))
    const wanted = await real(path)
    for (const model of this.models.values()) {
      for (const part of [model.path, ...model.parts]) if (await real(part) === wanted) return model
    }
    return undefined
  }

  private freeId(name: string): string {
    const stem = name.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, '-').replaceAll(/^[-.]+|[-.]+$/g, '').slice(0, 150) || 'model'
    let id = stem
    for (let n = 2; this.models.has(id); n++) id = `${stem}-${n}`
    return id
  }

  private store(model: LibraryModel): void {
    if (model.builtIn) return
    this.db.prepare(`INSERT INTO model(id, path, added_at, size, modified_at, parts, card, problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT(id) DO UPDATE SET path = excluded.path, size = excluded.size, modified_at = excluded.modified_at,
        parts = excluded.parts, card = excluded.card, problem = excluded.problem`)
      .run(model.id, model.path, model.addedAt, model.size, model.modifiedAt, JSON.stringify(model.parts),
        model.card ? JSON.stringify(model.card) : null, model.problem ? JSON.stringify(model.problem) : null)
  }

  private announce(): void { this.onDidChange.emit(this.list()) }
}

function emptyModel(id: string, path: string): LibraryModel {
  return { id, path, parts: [path], builtIn: false, addedAt: 0, size: -1, modifiedAt: -1, state: 'missing', problem: undefined, card: undefined }
}

// Without folder, ending and part number.
function stemOf(path: string): string {
  const name = basename(path)
  return parseSplitName(name)?.stem ?? name.replace(/\.gguf$/i, '')
}

function fromRow(row: Row): LibraryModel {
  const card = row.card === null ? undefined : ModelCard.safeParse(JSON.parse(String(row.card))).data
  const problem = row.problem === null ? undefined : WorkbenchErrorShape.safeParse(JSON.parse(String(row.problem))).data
  return {
    id: String(row.id), path: String(row.path), parts: JSON.parse(String(row.parts)) as string[], builtIn: false,
    addedAt: Number(row.added_at), size: Number(row.size), modifiedAt: Number(row.modified_at),
    // A card of an older program may no longer fit the schema: the rescan reads the file again.
    state: card ? 'ready' : 'broken', problem, card,
  }
}
