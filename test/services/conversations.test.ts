import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ConversationService, titleFrom } from '../../electron/services/conversations'
import { openStorage } from '../../electron/services/storage'
import { openWorkplace } from './workplace'

const whole = (content: string): Parameters<ConversationService['updateAnswer']>[1] => ({ content, reasoning: '', reasoningMs: 0, state: 'complete' })

test('a conversation is a tree; the active leaf is the branch shown', () => {
  const { conversations } = openWorkplace()
  const { id } = conversations.create('tiny')
  const first = conversations.addTurn(id, undefined, 'What is a router?\nTell me.', 'tiny')
  conversations.updateAnswer(first.answer.id, whole('It picks experts.'))
  const second = conversations.addTurn(id, first.answer.id, 'How many?', 'tiny')
  const edited = conversations.addTurn(id, first.answer.id, 'How many in V3?', 'tiny')
  const again = conversations.addAnswer(edited.userMessage.id, 'tiny')
  const { title, messages, activeLeafId, nMessages, modelId } = conversations.get(id)
  expect({ title, nMessages, modelId, activeLeafId }).toEqual({ title: 'What is a router?', nMessages: 7, modelId: 'tiny', activeLeafId: again.id })
  expect(messages.filter(({ parentId }) => parentId === first.answer.id).map(({ content }) => content)).toEqual(['How many?', 'How many in V3?'])
  expect(messages.filter(({ parentId }) => parentId === edited.userMessage.id).map(({ id: answer }) => answer)).toEqual([edited.answer.id, again.id])
  expect(conversations.branch(second.answer.id).map(({ content }) => content)).toEqual(['What is a router?\nTell me.', 'It picks experts.', 'How many?', ''])
  expect(conversations.update(id, { activeLeafId: second.answer.id, title: 'Routers' })).toMatchObject({ title: 'Routers', activeLeafId: second.answer.id })
  expect(() => conversations.update(id, { activeLeafId: 'none' })).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }) as Error)
  expect(() => conversations.addTurn(id, 'none', 'x', 'tiny')).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }) as Error)
  expect(conversations.get(id).nMessages).toBe(7)
})

test('search finds parts of words, Chinese, short text and odd characters, in titles and whole messages', () => {
  const { conversations } = openWorkplace()
  const make = (question: string, answer: string): string => {
    const { id } = conversations.create()
    const turn = conversations.addTurn(id, undefined, question, 'tiny')
    conversations.updateAnswer(turn.answer.id, { ...whole(answer), state: 'streaming' })
    conversations.updateAnswer(turn.answer.id, whole(`${answer} and more`))
    return id
  }
  const a = make('Tell me of Moby Dick', 'Call me Ishmael. 100% "whale"')
  const b = make('静夜思', '床前明月光，疑是地上霜')
  const found = (words: string): string[] => conversations.list(words).map(({ id }) => id)
  expect(found('')).toEqual([b, a])
  for (const words of ['ishma', 'MOBY', 'and more', '100%', '"whale"', 'of', '0%']) expect([words, found(words)]).toEqual([words, words === 'and more' ? [b, a] : [a]])
  for (const words of ['明月光', '静夜', '霜']) expect([words, found(words)]).toEqual([words, [b]])
  for (const words of ['nothing', '%', '_x', "'; DROP TABLE message", 'Ishmael OR']) expect([words, found(words).length]).toEqual([words, words === '%' ? 1 : 0])
})

test('deleting can be taken back; what is gone cannot be read', () => {
  const { conversations, db, settings } = openWorkplace()
  const { id } = conversations.create()
  conversations.addTurn(id, undefined, 'hello world', 'tiny')
  conversations.delete(id)
  expect(conversations.list()).toEqual([])
  expect(conversations.list('hello')).toEqual([])
  expect(() => conversations.get(id)).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }) as Error)
  expect(() => conversations.delete(id)).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }) as Error)
  expect(conversations.restore(id).nMessages).toBe(2)
  conversations.delete(id)
  db.prepare('UPDATE conversation SET deleted_at = ?').run(Date.now() - 31 * 24 * 3600_000)
  const later = new ConversationService(db, settings)
  expect(() => later.restore(id)).toThrow(expect.objectContaining({ code: 'E_NOT_FOUND' }) as Error)
  expect(db.prepare('SELECT count(*) AS n FROM message').get()).toEqual({ n: 0 })
  expect(db.prepare("INSERT INTO message_fts(message_fts) VALUES ('integrity-check')").run()).toBeDefined()
})

test('an answer cut off by a crash is marked and keeps its text', () => {
  const { conversations, db, folder, settings } = openWorkplace()
  const { id } = conversations.create()
  const { answer } = conversations.addTurn(id, undefined, 'hello', 'tiny')
  conversations.updateAnswer(answer.id, { content: 'half an ans', reasoning: 'hm', reasoningMs: 5, state: 'streaming' })
  const second = openStorage(join(folder, 'moebius.sqlite'))
  const { messages } = new ConversationService(second, settings).get(id)
  expect(messages[1]).toMatchObject({ state: 'interrupted', content: 'half an ans', reasoning: 'hm' })
  second.close()
  void db
})

test('titles are the first line, cut at a word', () => {
  expect(titleFrom('  Hello   there \n more')).toBe('Hello there')
  expect(titleFrom('one two three four five six seven eight nine ten eleven twelve thirteen')).toBe('one two three four five six seven eight nine ten eleven…')
  expect(titleFrom('x'.repeat(100))).toBe(`${'x'.repeat(60)}…`)
  expect(titleFrom('\n\n')).toBe('')
})
