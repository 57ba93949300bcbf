import { computed, type ComputedRef } from 'vue'
import { useI18n } from 'vue-i18n'
import type { ModelEntry } from '../../../electron/contract'
import { useConversationStore } from '../../stores/conversations'
import { useEngineStore } from '../../stores/engine'
import { useModelStore } from '../../stores/models'
import { useSettingsStore } from '../../stores/settings'

export interface ChatModelReturn {
  modelId: ComputedRef<string | undefined>
  model: ComputedRef<ModelEntry | undefined>
  choose: (modelId: string) => void
  context: ComputedRef<{ used: number, total: number, note: string, loadedId: string | undefined }>
}

// Which model answers in the open conversation, and how full its context is.
export function useChatModel(): ChatModelReturn {
  const { t } = useI18n()
  const conversations = useConversationStore()
  const engine = useEngineStore()
  const models = useModelStore()
  const settings = useSettingsStore()

  const model = computed(() => {
    const wanted = models.byId(conversations.current?.modelId ?? conversations.draft.modelId)
    return wanted && models.usable.includes(wanted) ? wanted : models.preferred
  })
  const modelId = computed(() => model.value?.id)

  function choose(id: string): void {
    void conversations.update({ modelId: id })
    void settings.update({ lastModelId: id })
  }

  const context = computed(() => {
    const loaded = modelId.value === undefined ? undefined : engine.loadedModel(modelId.value)
    const stats = conversations.answering?.stats ?? conversations.path.findLast(message => message.stats)?.stats
    const ready = loaded?.state === 'ready'
    return {
      used: stats?.seqLen ?? 0,
      total: ready ? loaded.maxSeqLen : 0,
      note: model.value && !loaded ? t('chat.sendLoads', { name: model.value.card?.name || model.value.id }) : '',
      loadedId: ready ? modelId.value : undefined,
    }
  })

  return { modelId, model, choose, context }
}
