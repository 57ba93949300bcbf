// A conversation is a tree of messages; what is shown is the path from the root to a leaf.
import type { Message } from '../../electron/contract'

export function childrenOf(messages: readonly Message[], parentId: string | undefined): Message[] {
  return messages.filter(message => message.parentId === parentId).sort((a, b) => a.createdAt - b.createdAt)
}

export function latestLeaf(messages: readonly Message[], from: Message | undefined): Message | undefined {
  let leaf = from
  for (let next = leaf; next; next = childrenOf(messages, next.id).at(-1)) leaf = next
  return leaf
}

export function pathTo(messages: readonly Message[], leafId: string | undefined): Message[] {
  const byId = new Map(messages.map(message => [message.id, message]))
  const path = new Set<Message>()
  const start = leafId === undefined ? latestLeaf(messages, childrenOf(messages, undefined).at(-1)) : byId.get(leafId)
  for (let at = start; at && !path.has(at); at = at.parentId === undefined ? undefined : byId.get(at.parentId)) path.add(at)
  return [...path].reverse()
}

export interface Siblings { index: number, count: number, previous: Message | undefined, next: Message | undefined }

export function siblingsOf(messages: readonly Message[], message: Message): Siblings {
  const all = childrenOf(messages, message.parentId).filter(candidate => candidate.role === message.role)
  const index = all.findIndex(candidate => candidate.id === message.id)
  return { index, count: all.length, previous: all[index - 1], next: all[index + 1] }
}
