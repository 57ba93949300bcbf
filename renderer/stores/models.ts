import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { CallOut, Contract, MemoryEstimate, ModelEntry, WorkbenchErrorShape } from '../../electron/contract'
import { toShape } from '../api/client-workbench'
import { workbench } from '../api/workbench'
import { useEngineStore } from './engine'
import { useSettingsStore } from './settings'
import { useHostState } from './use-state'

export type Inspection = CallOut<Contract, 'models.inspect'>
export interface LoadChoice { force?: boolean, maxSeqLen?: number, expertMemory?: number }
export interface LoadFailure { modelId: string, error: WorkbenchErrorShape }

export const useModelStore = defineStore('models', () => {
  const engine = useEngineStore()
  const settings = useSettingsStore()
  const list = useHostState('models')
  const models = computed(() => list.value?.models ?? [])
  const usable = computed(() => models.value.filter(model => model.state === 'ready' && model.card?.supported !== false))
  const byId = (modelId: string | undefined): ModelEntry | undefined => models.value.find(model => model.id === modelId)
  const failure = shallowRef<LoadFailure>()
  const aborts = new Map<string, AbortController>()
  const pending = ref<string[]>([])

  // The model a new chat starts with: the last one used, a loaded one, any that runs.
  const preferred = computed(() => {
    const last = byId(settings.values?.lastModelId)
    if (last && usable.value.includes(last)) return last
    return byId(engine.ready[0]?.modelId) ?? usable.value[0]
  })

  // True when the model is ready; a failure is kept for the window to show.
  async function load(modelId: string, options: LoadChoice = {}): Promise<boolean> {
    if (engine.loadedModel(modelId)?.state === 'ready') return true
    const abort = new AbortController()
    aborts.set(modelId, abort)
    pending.value = [...pending.value, modelId]
    failure.value = undefined
    try {
      await workbench().call('models.load', { modelId, ...options }, abort.signal)
      return true
    } catch (error) {
      const shape = toShape(error)
      if (shape.code !== 'E_CANCELLED') failure.value = { modelId, error: shape }
      return false
    } finally {
      aborts.delete(modelId)
      pending.value = pending.value.filter(id => id !== modelId)
    }
  }

  // After a reload of the page the call that loads is no longer ours: unloading ends it too.
  function cancelLoad(modelId: string): void {
    const abort = aborts.get(modelId)
    if (abort) abort.abort()
    else void workbench().call('models.unload', { modelId })
  }

  // The expert memory with which a model that did not fit would.
  function suggestedExpertMemory(modelId: string): number | undefined {
    const detail = failure.value?.modelId === modelId ? failure.value.error.detail?.['suggestedExpertMemory'] : undefined
    return typeof detail === 'number' ? detail : undefined
  }

  return {
    suggestedExpertMemory, list, models, usable, preferred, failure, pending, byId, load, cancelLoad,
    dismissFailure: () => { failure.value = undefined },
    unload: (modelId: string) => workbench().call('models.unload', { modelId }),
    remove: (modelId: string) => workbench().call('models.remove', { modelId }),
    inspect: (modelId: string): Promise<Inspection> => workbench().call('models.inspect', { modelId }),
    estimate: (modelId: string, seqLen: number, expertMemory?: number): Promise<MemoryEstimate> =>
      workbench().call('models.estimate', { modelId, seqLen, ...(expertMemory !== undefined && { expertMemory }) }),
    import: (paths: string[]) => workbench().call('models.import', { paths }),
  }
})
