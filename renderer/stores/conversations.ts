import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { Conversation, Message, SamplingSettings, WorkbenchErrorShape } from '../../electron/contract'
import { toShape } from '../api/client-workbench'
import { workbench } from '../api/workbench'
import { useConversationListStore } from './conversation-list'
import { useGenerationStore, type GenerationEnd } from './generations'
import { useSending, type Draft } from './conversation-sending'
import { latestLeaf, pathTo, siblingsOf } from './message-tree'
import { useSettingsStore } from './settings'

const emptyDraft = (): Draft => ({ systemPrompt: '', sampling: undefined, modelId: undefined })

// The conversation that is open. A new chat is a draft in the window until its first
// message is sent.
export const useConversationStore = defineStore('conversations', () => {
  const generations = useGenerationStore()
  const settings = useSettingsStore()
  const list = useConversationListStore()
  const current = shallowRef<Conversation>()
  const draft = ref<Draft>(emptyDraft())
  const failure = shallowRef<WorkbenchErrorShape>()
  const sending = ref(false)
  let opening = 0

  const path = computed(() => current.value ? pathTo(current.value.messages, current.value.activeLeafId) : [])
  // The host titles a chat after its first message: the list knows it first.
  const title = computed(() => list.summaries.find(chat => chat.id === current.value?.id)?.title || current.value?.title || '')
  const answering = computed(() => generations.ofConversation(current.value?.id))
  const sampling = computed(() => current.value?.sampling ?? draft.value.sampling ?? settings.values?.sampling)
  const systemPrompt = computed(() => current.value?.systemPrompt ?? (draft.value.systemPrompt || settings.values?.systemPrompt) ?? '')

  async function open(conversationId: string): Promise<boolean> {
    const turn = ++opening
    try {
      const conversation = await workbench().call('conversations.get', { conversationId })
      if (turn !== opening) return true
      show(conversation)
      return true
    } catch (error) {
      if (turn === opening) failure.value = toShape(error)
      return false
    }
  }

  // Shows a conversation and joins the answer that is being written in it, if any.
  function show(conversation: Conversation): void {
    current.value = conversation
    failure.value = undefined
    const streaming = conversation.messages.find(message => message.state === 'streaming')
    if (conversation.generationId && streaming) follow(conversation.generationId, streaming)
  }

  function startDraft(): void {
    opening++
    current.value = undefined
    failure.value = undefined
    draft.value = emptyDraft()
  }

  function follow(generationId: string, message: Message): void {
    generations.attach({ generationId, conversationId: message.conversationId, messageId: message.id }, ended)
  }

  function ended({ conversationId, message, error }: GenerationEnd): void {
    if (current.value?.id !== conversationId) return
    if (message) put(message)
    else void open(conversationId)
    if (error && !message) failure.value = error
    if (current.value) current.value = { ...current.value, generationId: undefined }
  }

  // Adds or replaces messages; the last one becomes the shown leaf when it is new.
  function put(...messages: Message[]): void {
    const conversation = current.value
    if (!conversation) return
    const byId = new Map(conversation.messages.map(message => [message.id, message]))
    const last = messages.at(-1)
    const isNew = last !== undefined && !byId.has(last.id)
    for (const message of messages) byId.set(message.id, message)
    current.value = { ...conversation, messages: [...byId.values()], activeLeafId: isNew ? last.id : conversation.activeLeafId }
  }

  const { send, edit, regenerate } = useSending({ current, draft, failure, sending, path, put, follow })

  async function update(patch: { title?: string, systemPrompt?: string, sampling?: SamplingSettings, activeLeafId?: string, modelId?: string }): Promise<void> {
    const conversation = current.value
    if (!conversation) { draft.value = { ...draft.value, ...patch }; return }
    current.value = { ...conversation, ...patch }
    await workbench().call('conversations.update', { conversationId: conversation.id, ...patch })
  }

  function chooseSibling(message: Message, direction: 'previous' | 'next'): void {
    const conversation = current.value
    if (!conversation) return
    const leaf = latestLeaf(conversation.messages, siblingsOf(conversation.messages, message)[direction])
    if (leaf) void update({ activeLeafId: leaf.id })
  }

  workbench().onConnection(state => {
    if (state.kind === 'online' && current.value) void open(current.value.id)
  })

  return {
    current, draft, failure, sending, path, title, answering, sampling, systemPrompt,
    open, startDraft, send, edit, regenerate, update, chooseSibling,
    stop: async () => { if (answering.value) await generations.stop(answering.value.generationId) },
    dismissFailure: () => { failure.value = undefined },
  }
})
