import { expect, it } from 'vitest'
import { groupByDay } from '../../renderer/features/chat/groupByDay'
import { curlSnippet, nodeSnippet, pythonSnippet } from '../../renderer/features/server/snippets'
import { matchCommands, type Command } from '../../renderer/frame/useCommands'
import { connectionState } from '../../renderer/api/client-workbench'

it('groups conversations by calendar day', () => {
  const now = new Date(2026, 10, 21, 0, 30).getTime()
  const chat = (id: string, hoursAgo: number) => ({ id, title: id, createdAt: 0, updatedAt: now - hoursAgo * 3_600_000, nMessages: 1 })
  const groups = groupByDay([chat('a', 0.2), chat('b', 1), chat('c', 24 * 4), chat('d', 24 * 40)], now)
  expect(groups.map(({ id, chats }) => [id, chats.map(({ id }) => id)])).toEqual([['today', ['a']], ['yesterday', ['b']], ['lastWeek', ['c']], ['older', ['d']]])
})

it('writes snippets that survive quotes', () => {
  const input = { baseUrl: 'http://127.0.0.1:7117', model: 'demo', key: 'KEY', prompt: 'It\'s "so"', withToken: true }
  expect(curlSnippet(input)).toContain('http://127.0.0.1:7117/v1/chat/completions')
  expect(curlSnippet(input)).toContain(String.raw`It'\''s \"so\"`)
  expect(curlSnippet({ ...input, withToken: false })).not.toContain('Authorization')
  expect(pythonSnippet({ ...input, baseUrl: 'http://127.0.0.1:7117/v1' })).toContain('base_url="http://127.0.0.1:7117/v1"')
  expect(nodeSnippet(input)).toContain('apiKey: "KEY"')
})

it('matches commands by all words, in the order of the groups', () => {
  const command = (id: string, group: Command['group'], label: string): Command => ({ id, group, label, icon: 'chat', run: () => {} })
  const chats = Array.from({ length: 9 }, (_, i) => command(`c${i}`, 'groupChats', `Chat about owls ${i}`))
  const commands = [...chats, command('n', 'groupActions', 'New chat'), command('t', 'groupTheme', 'Theme: Dark')]
  expect(matchCommands(commands, '').map(({ id, commands: found }) => [id, found.length])).toEqual([['groupActions', 1], ['groupChats', 6], ['groupTheme', 1]])
  expect(matchCommands(commands, 'OWLS chat 7').flatMap(group => group.commands.map(({ id }) => id))).toEqual(['c7'])
  expect(matchCommands(commands, 'zebra')).toEqual([])
})

it('tells the first attempt from a lost connection', () => {
  expect(connectionState({ state: 'connecting', attempt: 0, reason: '' })).toEqual({ kind: 'connecting' })
  expect(connectionState({ state: 'waiting', attempt: 0, reason: 'refused' })).toEqual({ kind: 'lost', reason: 'refused' })
  expect(connectionState({ state: 'connecting', attempt: 1, reason: 'refused' })).toEqual({ kind: 'lost', reason: 'refused' })
  expect(connectionState({ state: 'incompatible', attempt: 0, reason: '' })).toEqual({ kind: 'mismatch' })
  expect(connectionState({ state: 'open', attempt: 0, reason: '' })).toEqual({ kind: 'online' })
})
