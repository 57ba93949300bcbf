import { defineStore } from 'pinia'
import { computed } from 'vue'
import type { Settings } from '../../electron/contract'
import { workbench } from '../api/workbench'
import { useHostState } from './use-state'

export const useSettingsStore = defineStore('settings', () => {
  const values = useHostState('settings')
  const theme = computed(() => values.value?.theme ?? 'system')
  const reduceMotion = computed(() => values.value?.reduceMotion ?? 'system')
  const locale = computed<'en' | 'zh-CN'>(() => {
    const chosen = values.value?.locale ?? 'system'
    if (chosen !== 'system') return chosen
    return navigator.language.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en'
  })

  const update = (patch: Partial<Settings>): Promise<Settings> => workbench().call('settings.update', { patch })
  const reset = (): Promise<Settings> => workbench().call('settings.reset', {})

  return { values, theme, reduceMotion, locale, update, reset }
})
