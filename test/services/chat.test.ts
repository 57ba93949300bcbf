import { expect, test } from 'vitest'
import type { ChatEvent } from '../../electron/contract'
import { codeOf, openWithModel, until, type Workplace } from './workplace'

async function watchAll({ chat }: Workplace, generationId: string, signal = new AbortController().signal): Promise<ChatEvent[]> {
  const events: ChatEvent[] = []
  for await (const event of chat.watch(generationId, signal)) events.push(event)
  return events
}
const textOf = (events: ChatEvent[], type: 'content' | 'reasoning'): string => events.map(event => (event.type === type && 'text' in event ? event.text : '')).join('')

test('an answer is streamed, saved and part of the next prompt', async () => {
  const prompts: string[] = []
  const workplace = await openWithModel({ answer: prompt => { prompts.push(prompt); return '<think>Hm.</think>\n\nAn answer.' } })
  const { chat, conversations } = workplace
  const { id } = conversations.create('tiny')
  conversations.update(id, { systemPrompt: 'Be kind.' })
  const { generationId, userMessage, answer } = chat.send(id, undefined, 'First?', 'tiny')
  expect(answer).toMatchObject({ parentId: userMessage.id, state: 'streaming', content: '' })
  expect(chat.withGeneration(conversations.get(id)).generationId).toBe(generationId)
  const events = await watchAll(workplace, generationId)
  expect(events[0]).toEqual({ type: 'start', conversationId: id, messageId: answer.id })
  // Figures come now and then; the rest has its order.
  expect([...new Set(events.map(({ type }) => type))].filter(type => type !== 'stats')).toEqual(['start', 'prompt-progress', 'reasoning', 'reasoning-end', 'content', 'end'])
  expect(events.some(({ type }) => type === 'stats')).toBe(true)
  expect([textOf(events, 'reasoning'), textOf(events, 'content')]).toEqual(['Hm.', 'An answer.'])
  const saved = conversations.message(answer.id)
  expect(saved).toMatchObject({ state: 'complete', content: 'An answer.', reasoning: 'Hm.', modelId: 'tiny', stats: { stopReason: 'stop' } })
  expect(events.at(-1)).toEqual({ type: 'end', message: saved })
  const next = chat.send(id, answer.id, 'Second?', 'tiny')
  await watchAll(workplace, next.generationId)
  expect(prompts[1]).toBe('<|system|>Be kind.\n<|user|>First?\n<|assistant|>An answer.\n<|user|>Second?\n<|assistant|>')
  expect(chat.withGeneration(conversations.get(id)).generationId).toBeUndefined()
  // Who comes after the end still gets the whole of it.
  expect(textOf(await watchAll(workplace, next.generationId), 'content')).toBe('An answer.')
})

test('who watches late gets the answer so far at once; nobody watching changes nothing', async () => {
  const workplace = await openWithModel({ tokenDelayMs: 3, answer: () => 'word '.repeat(60) })
  const { chat, conversations } = workplace
  const { id } = conversations.create()
  const { generationId, answer } = chat.send(id, undefined, 'Go', 'tiny')
  const first = new AbortController()
  for await (const event of chat.watch(generationId, first.signal)) if (event.type === 'content') first.abort()
  await until(() => (chat.withGeneration(conversations.get(id)).messages[1]?.content.length ?? 0) > 50, 'some text')
  const late = await watchAll(workplace, generationId)
  const contents = late.filter(event => event.type === 'content')
  expect(contents[0]?.text.length).toBeGreaterThan(50)
  expect(textOf(late, 'content')).toBe('word '.repeat(60))
  expect(conversations.message(answer.id).content).toBe('word '.repeat(60))
})

test('a growing answer is saved at least every half second or so', async () => {
  const workplace = await openWithModel({ tokenDelayMs: 20, answer: () => 'word '.repeat(60) })
  const { chat, conversations } = workplace
  const { id } = conversations.create()
  const { answer } = chat.send(id, undefined, 'Go', 'tiny')
  await until(() => conversations.message(answer.id).content.length > 0, 'the first save')
  expect(conversations.message(answer.id).state).toBe('streaming')
  await chat.close()
  expect(conversations.message(answer.id)).toMatchObject({ state: 'complete', stats: { stopReason: 'cancelled' } })
})

test('stopping keeps the text; one answer at a time in a conversation; regenerating makes a sibling', async () => {
  const workplace = await openWithModel({ tokenDelayMs: 3, answer: () => 'word '.repeat(200) })
  const { chat, conversations } = workplace
  const { id } = conversations.create()
  const { generationId, userMessage, answer } = chat.send(id, undefined, 'Go', 'tiny')
  expect(() => chat.send(id, undefined, 'Again', 'tiny')).toThrow(expect.objectContaining({ code: 'E_CONFLICT' }) as Error)
  expect(() => chat.regenerate(answer.id, 'tiny')).toThrow(expect.objectContaining({ code: 'E_CONFLICT' }) as Error)
  const events: ChatEvent[] = []
  for await (const event of chat.watch(generationId, new AbortController().signal)) {
    events.push(event)
    if (event.type === 'content') chat.stop(generationId)
  }
  const end = events.at(-1)
  expect(end).toMatchObject({ type: 'end', message: { state: 'complete', stats: { stopReason: 'cancelled' } } })
  expect(conversations.message(answer.id).content.startsWith('word')).toBe(true)
  const again = chat.regenerate(answer.id, 'tiny')
  expect(again.answer.parentId).toBe(userMessage.id)
  chat.stop(again.generationId)
  await watchAll(workplace, again.generationId)
  const fromQuestion = chat.regenerate(userMessage.id, 'tiny')
  expect(fromQuestion.answer.parentId).toBe(userMessage.id)
  await chat.close()
  expect(conversations.get(id).messages.length).toBe(4)
})

test('an answer whose model is taken away while it loads has failed, not ended', async () => {
  const workplace = await openWithModel({ loadDelayMs: 200 })
  const { chat, conversations, models } = workplace
  const { generationId, answer } = chat.send(conversations.create().id, undefined, 'Hello', 'tiny')
  await until(() => models.isBusy('tiny'), 'it loads')
  await models.unload('tiny')
  expect((await watchAll(workplace, generationId)).at(-1)).toMatchObject({ type: 'error', error: { code: 'E_CANCELLED' } })
  expect(conversations.message(answer.id).state).toBe('failed')
})

test('a full disk costs the saving, not the answer', async () => {
  const workplace = await openWithModel({ tokenDelayMs: 12, answer: () => 'word '.repeat(60) })
  const { chat, conversations, db } = workplace
  const { generationId, answer } = chat.send(conversations.create().id, undefined, 'Hello', 'tiny')
  const filler = db.prepare('INSERT INTO setting(key, value) VALUES (?, ?)')
  const pages = Number(db.prepare('PRAGMA page_count').get()?.page_count)
  db.exec(`PRAGMA max_page_count = ${pages}`)
  expect(() => { for (let i = 0; ; i++) filler.run(`filler ${i}`, 'x'.repeat(100)) }).toThrow(expect.objectContaining({ code: 'E_DISK_FULL' }) as Error)
  const end = (await watchAll(workplace, generationId)).at(-1)
  // Small changes may still fit into the last page; nothing is lost on the way to the window.
  expect(end).toMatchObject({ message: { content: 'word '.repeat(60) } })
  if (end?.type === 'error') expect(end.error.code).toBe('E_DISK_FULL')
  db.exec('PRAGMA max_page_count = 1000000')
  expect(conversations.message(answer.id).id).toBe(answer.id)
})

test('a failed answer says why and can be tried again', async () => {
  const workplace = await openWithModel({ maxSeqLen: 10 })
  const { chat, conversations, log } = workplace
  const { id } = conversations.create()
  const { generationId, answer } = chat.send(id, undefined, 'a b c d e f g h i j k l m', 'tiny')
  const events = await watchAll(workplace, generationId)
  expect(events.at(-1)).toMatchObject({ type: 'error', error: { code: 'E_CONTEXT_LENGTH' }, message: { state: 'failed' } })
  expect(conversations.message(answer.id)).toMatchObject({ state: 'failed', error: { code: 'E_CONTEXT_LENGTH', detail: { maxSeqLen: 10 } } })
  expect(log.tail(1)[0]).toMatchObject({ level: 'warning', text: expect.stringContaining('E_CONTEXT_LENGTH') as string })
  expect(() => chat.send(id, undefined, 'x', 'nothing')).toThrow(expect.objectContaining({ code: 'E_MODEL_UNKNOWN' }) as Error)
  expect(conversations.get(id).nMessages).toBe(2)
  expect(await codeOf((async () => { chat.watch('none', new AbortController().signal); return Promise.resolve() })())).toBe('E_NOT_FOUND')
})
