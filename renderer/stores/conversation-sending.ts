// How messages leave the window: the part of the conversation store that asks for answers.
import type { ComputedRef, Ref, ShallowRef } from 'vue'
import type { Conversation, Message, SamplingSettings, WorkbenchErrorShape } from '../../electron/contract'
import { toShape } from '../api/client-workbench'
import { workbench } from '../api/workbench'

// What was chosen for a chat that does not exist yet.
export interface Draft { systemPrompt: string, sampling: SamplingSettings | undefined, modelId: string | undefined }

export interface OpenConversation {
  current: ShallowRef<Conversation | undefined>
  draft: Ref<Draft>
  failure: ShallowRef<WorkbenchErrorShape | undefined>
  sending: Ref<boolean>
  path: ComputedRef<Message[]>
  put: (...messages: Message[]) => void
  follow: (generationId: string, message: Message) => void
}

export interface SendingReturn {
  send: (content: string, modelId: string) => Promise<boolean>
  edit: (message: Message, content: string, modelId: string) => Promise<boolean>
  regenerate: (message: Message, modelId: string) => Promise<boolean>
}

export function useSending({ current, draft, failure, sending, path, put, follow }: OpenConversation): SendingReturn {
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

  const send: SendingReturn['send'] = (content, modelId) => attempt(() => post(content, modelId, path.value.at(-1)?.id))
  const edit: SendingReturn['edit'] = (message, content, modelId) => attempt(() => post(content, modelId, message.parentId))

  const regenerate: SendingReturn['regenerate'] = (message, modelId) => attempt(async () => {
    const { generationId, answer } = await workbench().call('chat.regenerate', { messageId: message.id, modelId })
    put(answer)
    follow(generationId, answer)
  })

  return { send, edit, regenerate }
}
