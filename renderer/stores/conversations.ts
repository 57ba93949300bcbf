import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { Conversation, ConversationSummary, Message, SamplingSettings, WorkbenchErrorShape } from '../../electron/contract'
import { toShape } from '../api/client-workbench'
import { workbench } from '../api/workbench'
import { useGenerationStore, type GenerationEnd } from './generations'
import { latestLeaf, pathTo, siblingsOf } from './message-tree'
import { useSettingsStore } from './settings'
import { useHostState } from './use-state'

export interface Draft { systemPrompt: string, sampling: SamplingSettings | undefined, modelId: string | undefined }
const emptyDraft = (): Draft => ({ systemPrompt: '', sampling: undefined, modelId: undefined })

// The conversations of this user, and the one that is open. A new chat is a draft in the
// window until its first message is sent.
export const useConversationStore = defineStore('conversations', () => {
  const generations = useGenerationStore()
  const settings = useSettingsStore()
  const list = useHostState('conversations')
  const summaries = computed(() => [...list.value ?? []].sort((a, b) => b.updatedAt - a.updatedAt))
  const found = shallowRef<ConversationSummary[]>()
  const current = shallowRef<Conversation>()
  const draft = ref<Draft>(emptyDraft())
  const failure = shallowRef<WorkbenchErrorShape>()
  const sending = ref(false)
  let opening = 0

  const path = computed(() => current.value ? pathTo(current.value.messages, current.value.activeLeafId) : [])
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

  async function attempt(work: () => Promise<void>): Promise<boolean> {
    sending.value = true
    failure.value = undefined
    try {
      await work()
      return true
    } catch (error) {
      failure.value = toShape(error)
      return false
    } finally {
      sending.value = false
    }
  }

  async function materialise(modelId: string): Promise<Conversation> {
    if (current.value) return current.value
    let conversation = await workbench().call('conversations.create', { modelId })
    const { systemPrompt: prompt, sampling: chosen } = draft.value
    if (prompt || chosen) {
      conversation = await workbench().call('conversations.update', {
        conversationId: conversation.id, ...(prompt && { systemPrompt: prompt }), ...(chosen && { sampling: chosen }),
      })
    }
    current.value = conversation
    return conversation
  }

  async function post(content: string, modelId: string, parentId: string | undefined): Promise<void> {
    const conversation = await materialise(modelId)
    const sent = await workbench().call('chat.send', { conversationId: conversation.id, content, modelId, ...(parentId !== undefined && { parentId }) })
    if (current.value?.id !== conversation.id) return
    put(sent.userMessage, sent.answer)
    follow(sent.generationId, sent.answer)
  }

  const send = (content: string, modelId: string): Promise<boolean> => attempt(() => post(content, modelId, path.value.at(-1)?.id))
  const edit = (message: Message, content: string, modelId: string): Promise<boolean> => attempt(() => post(content, modelId, message.parentId))

  const regenerate = (message: Message, modelId: string): Promise<boolean> => attempt(async () => {
    const { generationId, answer } = await workbench().call('chat.regenerate', { messageId: message.id, modelId })
    put(answer)
    follow(generationId, answer)
  })

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

  async function search(text: string): Promise<void> {
    const query = text.trim()
    found.value = query ? await workbench().call('conversations.list', { search: query }) : undefined
  }

  const remove = async (conversationId: string): Promise<void> => {
    await workbench().call('conversations.delete', { conversationId })
    if (current.value?.id === conversationId) startDraft()
  }

  workbench().onConnection(state => {
    if (state.kind === 'online' && current.value) void open(current.value.id)
  })

  return {
    list, summaries, found, current, draft, failure, sending, path, answering, sampling, systemPrompt,
    open, startDraft, send, edit, regenerate, update, chooseSibling, search, remove,
    rename: (conversationId: string, title: string) => workbench().call('conversations.update', { conversationId, title }),
    restore: (conversationId: string) => workbench().call('conversations.restore', { conversationId }),
    stop: async () => { if (answering.value) await generations.stop(answering.value.generationId) },
    dismissFailure: () => { failure.value = undefined },
  }
})
