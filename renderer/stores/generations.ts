import { defineStore } from 'pinia'
import { computed, shallowReactive } from 'vue'
import type { ChatEvent, GenerationStats, Message, WorkbenchErrorShape } from '../../electron/contract'
import { workbench } from '../api/workbench'
import { frameThrottle } from '../composables/useFrameThrottle'

export interface LiveAnswer {
  generationId: string
  conversationId: string
  messageId: string
  phase: 'waiting' | 'prompt' | 'reasoning' | 'content'
  content: string
  reasoning: string
  reasoningMs: number
  prompt: { processed: number, total: number, cached: number }
  stats: Omit<GenerationStats, 'stopReason'> | undefined
}

export interface GenerationEnd { conversationId: string, generationId: string, message: Message | undefined, error: WorkbenchErrorShape | undefined }

const paintInterval = 50

// Answers being written. Text is gathered as it arrives and shown at most 20 times a second.
export const useGenerationStore = defineStore('generations', () => {
  const live = shallowReactive(new Map<string, LiveAnswer>())   // by message
  const active = computed(() => [...live.values()])

  function attach(start: { generationId: string, conversationId: string, messageId: string }, onEnd: (end: GenerationEnd) => void): void {
    if (live.has(start.messageId)) return
    let answer: LiveAnswer = {
      ...start, phase: 'waiting', content: '', reasoning: '', reasoningMs: 0, prompt: { processed: 0, total: 0, cached: 0 }, stats: undefined,
    }
    const paint = frameThrottle(() => { live.set(start.messageId, { ...answer }) }, paintInterval)
    live.set(start.messageId, answer)

    const finish = (message: Message | undefined, error: WorkbenchErrorShape | undefined): void => {
      paint.cancel()
      if (!live.delete(start.messageId)) return
      onEnd({ conversationId: start.conversationId, generationId: start.generationId, message, error })
    }
    workbench().open('chat.watch', { generationId: start.generationId }, {
      onItem: event => {
        if (event.type === 'end') return finish(event.message, undefined)
        if (event.type === 'error') return finish(event.message, event.error)
        answer = applyEvent(answer, event)
        paint.request()
      },
      onEnd: () => finish(undefined, undefined),
      onError: error => finish(undefined, error),
    })
  }

  return {
    live, active, attach,
    ofConversation: (conversationId: string | undefined) => active.value.find(answer => answer.conversationId === conversationId),
    stop: (generationId: string) => workbench().call('chat.stop', { generationId }),
  }
})

// The stream starts from the beginning of the answer, also for a window that joins late.
export function applyEvent(answer: LiveAnswer, event: Exclude<ChatEvent, { type: 'end' | 'error' }>): LiveAnswer {
  switch (event.type) {
    case 'start': return { ...answer, content: '', reasoning: '', phase: 'waiting' }
    case 'prompt-progress': return { ...answer, phase: 'prompt', prompt: { processed: event.processed, total: event.total, cached: event.cached } }
    case 'reasoning': return { ...answer, phase: 'reasoning', reasoning: answer.reasoning + event.text }
    case 'reasoning-end': return { ...answer, phase: 'content', reasoningMs: event.reasoningMs }
    case 'content': return { ...answer, phase: 'content', content: answer.content + event.text }
    case 'stats': return { ...answer, stats: event.stats }
  }
}
