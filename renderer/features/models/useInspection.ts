import { shallowRef, watch, type ShallowRef } from 'vue'
import { WorkbenchError, type WorkbenchErrorShape } from '../../../electron/contract'
import { useModelStore, type Inspection } from '../../stores/models'

export interface InspectionReturn { inspection: ShallowRef<Inspection | undefined>, failure: ShallowRef<WorkbenchErrorShape | undefined> }

// Reads the whole file header once somebody wants to see it.
export function useInspection(modelId: () => string, wanted: () => boolean): InspectionReturn {
  const models = useModelStore()
  const inspection = shallowRef<Inspection>()
  const failure = shallowRef<WorkbenchErrorShape>()
  let readFor: string | undefined

  watch([modelId, wanted], async ([id, want]) => {
    if (!want || readFor === id) return
    readFor = id
    inspection.value = undefined
    failure.value = undefined
    try {
      inspection.value = await models.inspect(id)
    } catch (error) {
      if (error instanceof WorkbenchError) failure.value = error.toShape()
    }
  }, { immediate: true })

  return { inspection, failure }
}
