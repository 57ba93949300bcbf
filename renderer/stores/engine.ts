import { defineStore } from 'pinia'
import { computed } from 'vue'
import { useHostState } from './use-state'

export const useEngineStore = defineStore('engine', () => {
  const status = useHostState('engine.status')
  const loaded = computed(() => status.value?.loaded ?? [])
  const ready = computed(() => loaded.value.filter(model => model.state === 'ready'))
  const loading = computed(() => loaded.value.find(model => model.state === 'loading'))
  const backend = computed(() => status.value?.backends.find(candidate => candidate.available))
  const loadedModel = (modelId: string) => loaded.value.find(model => model.modelId === modelId)
  return { status, loaded, ready, loading, backend, loadedModel }
})
