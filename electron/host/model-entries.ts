// Library models as the window sees them, each with what loading it would take. Estimates read
// headers, so they are kept until the file or the settings change.
import type { MemoryEstimate, ModelEntry } from '../contract'
import type { LibraryModel, ModelLibrary } from '../services/model-library'
import type { ModelService } from '../services/models'
import type { SettingsService } from '../services/settings'

export class ModelEntries {
  private readonly estimates = new Map<string, MemoryEstimate | undefined>()

  constructor(private readonly library: ModelLibrary, private readonly models: ModelService, private readonly settings: SettingsService) {}

  all(): Promise<ModelEntry[]> { return Promise.all(this.library.list().map(model => this.entryOf(model))) }

  async entryOf(model: LibraryModel): Promise<ModelEntry> {
    const { id, path, parts, builtIn, addedAt, state, problem, card } = model
    const estimate = state === 'ready' ? await this.estimate(model) : undefined
    return { id, path, parts: parts.length, builtIn, addedAt, state, ...(problem && { problem }), ...(card && { card }), ...(estimate && { estimate }) }
  }

  private async estimate({ id, size, modifiedAt, card }: LibraryModel): Promise<MemoryEstimate | undefined> {
    if (card?.supported === false) return undefined
    const { cacheFormat, maxSeqLen, expertMemory } = this.settings.value
    const key = [id, size, modifiedAt, cacheFormat, maxSeqLen, expertMemory[id] ?? 0].join()
    if (!this.estimates.has(key)) this.estimates.set(key, await this.models.estimate(id, 0).catch(() => undefined))
    return this.estimates.get(key)
  }
}
