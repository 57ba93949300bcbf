import { flushPromises } from '@vue/test-utils'
import { beforeEach, expect, it, vi } from 'vitest'
import { WorkbenchError } from '../../electron/contract'
import { useConversationListStore } from '../../renderer/stores/conversation-list'
import { useConversationStore } from '../../renderer/stores/conversations'
import { useGenerationStore } from '../../renderer/stores/generations'
import type { FakeWorkbench } from './fake-workbench'
import { conversation, demo, message, stats } from './sample-data'
import { startFake } from './support'

let fake: FakeWorkbench
beforeEach(() => { fake = startFake() })

const nextPaint = (): Promise<void> => new Promise(resolve => { setTimeout(resolve, 120) })

it('creates a chat with its first message and streams the answer', async () => {
  const conversations = useConversationStore()
  const generations = useGenerationStore()
  await conversations.update({ systemPrompt: 'Be brief.' })
  expect(fake.calls.map(call => call.method)).toEqual([])
  expect(await conversations.send('Hello', demo.id)).toBe(true)
  expect(fake.calls.map(call => call.method)).toEqual(['conversations.create', 'conversations.update', 'chat.send'])
  expect(conversations.path.map(({ role }) => role)).toEqual(['user', 'assistant'])

  const answer = conversations.path[1]!
  fake.emit({ type: 'start', conversationId: answer.conversationId, messageId: answer.id })
  fake.emit({ type: 'reasoning', text: 'Hm' })
  fake.emit({ type: 'reasoning-end', reasoningMs: 120 })
  fake.emit({ type: 'content', text: 'Hi ' })
  fake.emit({ type: 'content', text: 'there' })
  await nextPaint()
  expect(generations.live.get(answer.id)).toMatchObject({ phase: 'content', content: 'Hi there', reasoning: 'Hm', reasoningMs: 120 })
  expect(conversations.answering?.messageId).toBe(answer.id)

  fake.emit({ type: 'end', message: { ...answer, state: 'complete', content: 'Hi there', stats } })
  expect(conversations.answering).toBeUndefined()
  expect(conversations.path[1]).toMatchObject({ state: 'complete', content: 'Hi there' })
})

it('joins an answer that is being written after a reload', async () => {
  const chat = conversation()
  const streaming = message({ id: 'm6', role: 'assistant', parentId: 'm3', state: 'streaming', content: 'The fi', createdAt: Date.now() })
  fake.conversations.set('c1', { ...chat, generationId: 'g1', activeLeafId: 'm6', messages: [...chat.messages, streaming] })
  const conversations = useConversationStore()
  await conversations.open('c1')
  expect(fake.streams.map(({ method, params }) => [method, params])).toEqual([['chat.watch', { generationId: 'g1' }]])
  fake.emit({ type: 'start', conversationId: 'c1', messageId: 'm6' })
  fake.emit({ type: 'content', text: 'The first words' })
  await nextPaint()
  expect(conversations.answering?.content).toBe('The first words')
  await conversations.open('c1')
  expect(fake.streams.length).toBe(1)
})

it('makes siblings by editing and regenerating, and walks them', async () => {
  fake.conversations.set('c1', conversation())
  const conversations = useConversationStore()
  await conversations.open('c1')
  const [first] = conversations.path
  await conversations.edit(first!, 'Another question', demo.id)
  expect(fake.calls.at(-1)).toMatchObject({ method: 'chat.send', params: { content: 'Another question' } })
  expect(fake.calls.at(-1)?.params).not.toHaveProperty('parentId')
  expect(conversations.path.map(({ content }) => content)).toEqual(['Another question', ''])
  conversations.chooseSibling(conversations.path[0]!, 'previous')
  expect(conversations.path.map(({ id }) => id)).toEqual(['m1', 'm2', 'm3', 'm4'])
  await conversations.regenerate(conversations.path[3]!, demo.id)
  expect(conversations.path.at(-1)).toMatchObject({ parentId: 'm3', state: 'streaming' })
})

it('keeps a failure with its cause, and the old state', async () => {
  fake.on('chat.send', () => { throw new WorkbenchError('E_CONTEXT_LENGTH', 'This model\'s maximum is 512 tokens.') })
  const conversations = useConversationStore()
  expect(await conversations.send('Hello', demo.id)).toBe(false)
  expect(conversations.failure).toMatchObject({ code: 'E_CONTEXT_LENGTH', message: 'This model\'s maximum is 512 tokens.' })
  expect(conversations.path).toEqual([])
})

it('does not let a slow conversation replace the one chosen after it', async () => {
  const slow = conversation({ id: 'slow' })
  fake.conversations.set('c1', conversation())
  fake.on('conversations.get', async ({ conversationId }: { conversationId: string }) => {
    if (conversationId === 'slow') await new Promise(resolve => { setTimeout(resolve, 30) })
    return conversationId === 'slow' ? slow : fake.conversations.get(conversationId)
  })
  const conversations = useConversationStore()
  const first = conversations.open('slow')
  await conversations.open('c1')
  await first
  expect(conversations.current?.id).toBe('c1')
})

it('asks the host to search, and shows everything for an empty query', async () => {
  fake.conversations.set('c1', conversation())
  const list = useConversationListStore()
  await list.search('  router ')
  expect(fake.calls.at(-1)).toEqual({ method: 'conversations.list', params: { search: 'router' } })
  expect(list.found?.length).toBe(1)
  await list.search('')
  expect(list.found).toBeUndefined()
})

it('shows an answer that ended with an error and one whose stream was lost', async () => {
  const conversations = useConversationStore()
  await conversations.send('Hello', demo.id)
  const answer = conversations.path[1]!
  const error = { code: 'E_NATIVE' as const, message: 'The engine stopped.', hint: '', retryable: false }
  fake.emit({ type: 'error', error, message: { ...answer, state: 'failed', error } })
  expect(conversations.path[1]).toMatchObject({ state: 'failed', error: { code: 'E_NATIVE' } })

  await conversations.send('Again', demo.id)
  fake.streams.at(-1)!.handlers.onError?.({ code: 'E_GAP', message: 'lost', hint: '', retryable: true })
  await vi.waitFor(() => { expect(conversations.answering).toBeUndefined() })
  await flushPromises()
  expect(fake.calls.at(-1)?.method).toBe('conversations.get')
})
