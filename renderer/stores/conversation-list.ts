import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'
import type { ConversationSummary } from '../../electron/contract'
import { workbench } from '../api/workbench'
import { useHostState } from './use-state'

// All conversations of this user, newest first, and what a search found among them.
export const useConversationListStore = defineStore('conversationList', () => {
  const list = useHostState('conversations')
  const summaries = computed(() => [...list.value ?? []].sort((a, b) => b.updatedAt - a.updatedAt))
  const found = shallowRef<ConversationSummary[]>()

  async function search(text: string): Promise<void> {
    const query = text.trim()
    found.value = query ? await workbench().call('conversations.list', { search: query }) : undefined
  }

  return {
    list, summaries, found, search,
    rename: (conversationId: string, title: string) => workbench().call('conversations.update', { conversationId, title }),
    remove: (conversationId: string) => workbench().call('conversations.delete', { conversationId }),
    restore: (conversationId: string) => workbench().call('conversations.restore', { conversationId }),
  }
})
