import { defineStore } from 'pinia'
import { computed } from 'vue'
import type { Calibration } from '../../electron/contract'
import { workbench } from '../api/workbench'
import { useHostState } from './use-state'

export const useEngineStore = defineStore('engine', () => {
  const status = useHostState('engine.status')
  const calibration = useHostState('engine.calibration')
  const calibrate = (again: boolean): Promise<Calibration> => workbench().call('engine.calibrate', { again })
  const loaded = computed(() => status.value?.loaded ?? [])
  const ready = computed(() => loaded.value.filter(model => model.state === 'ready'))
  const loading = computed(() => loaded.value.find(model => model.state === 'loading'))
  const backend = computed(() => status.value?.backends.find(candidate => candidate.available))
  const loadedModel = (modelId: string) => loaded.value.find(model => model.modelId === modelId)
  return { status, calibration, calibrate, loaded, ready, loading, backend, loadedModel }
})
