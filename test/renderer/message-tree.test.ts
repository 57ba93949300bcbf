import { expect, it } from 'vitest'
import { latestLeaf, pathTo, siblingsOf } from '../../renderer/stores/message-tree'
import { conversation, message } from './sample-data'

const { messages } = conversation()
const ids = (list: { id: string }[]): string[] => list.map(({ id }) => id)

it('walks from the root to the shown leaf', () => {
  expect(ids(pathTo(messages, 'm4'))).toEqual(['m1', 'm2', 'm3', 'm4'])
  expect(ids(pathTo(messages, 'm5'))).toEqual(['m1', 'm2', 'm3', 'm5'])
})

it('shows the latest branch when no leaf is named, and nothing of an empty tree', () => {
  expect(ids(pathTo(messages, undefined))).toEqual(['m1', 'm2', 'm3', 'm4'])
  expect(pathTo([], undefined)).toEqual([])
  expect(pathTo(messages, 'gone')).toEqual([])
})

it('orders siblings by age and walks to their latest leaf', () => {
  const siblings = siblingsOf(messages, messages.find(({ id }) => id === 'm4')!)
  expect(siblings).toMatchObject({ index: 1, count: 2, previous: { id: 'm5' }, next: undefined })
  expect(latestLeaf(messages, messages[0])?.id).toBe('m4')
})

it('survives a tree that bites its tail', () => {
  const ring = [message({ id: 'a', role: 'user', parentId: 'b' }), message({ id: 'b', role: 'assistant', parentId: 'a' })]
  expect(pathTo(ring, 'a').length).toBe(2)
})
