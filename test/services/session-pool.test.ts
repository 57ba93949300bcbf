import { expect, test } from 'vitest'
import type { EngineSession } from '../../electron/engine/types'
import { SessionPool } from '../../electron/services/session-pool'
import { codeOf } from './workplace'

function makePool(mayGrow = true): { pool: SessionPool, closed: number[] } {
  const closed: number[] = []
  let n = 0
  const pool = new SessionPool(() => {
    const id = n++
    return { id, close: () => { closed.push(id) } } as unknown as EngineSession
  }, () => mayGrow)
  return { pool, closed }
}
const idOf = (pooled: { session: EngineSession }): number => (pooled.session as unknown as { id: number }).id

test('the session that holds most of the prompt is taken; others are left to their owners', async () => {
  const { pool } = makePool()
  const hold = async (tokens: number[]): Promise<number> => {
    const pooled = await pool.acquire(tokens, String(tokens[0]))
    pooled.held = tokens
    pool.release(pooled)
    return idOf(pooled)
  }
  expect(await hold([1, 2, 3, 4])).toBe(0)
  expect(await hold([9, 8, 7, 6])).toBe(1)
  expect(await hold([1, 2, 3, 4, 5])).toBe(0)
  expect(await hold([9, 8, 7, 6, 5])).toBe(1)
  expect(await hold([5, 5, 5, 5])).toBe(2)
  expect(await hold([6, 6, 6, 6])).toBe(3)
  // All four are taken: the one used longest ago gives way.
  expect(await hold([7, 7, 7, 7])).toBe(0)
  expect(await hold([9, 8, 7, 6, 5, 4])).toBe(1)
})

test('another answer to the same question reuses the prompt, however long the first answer was', async () => {
  const { pool } = makePool()
  const ask = async (tokens: number[], owner: string): Promise<number> => {
    const pooled = await pool.acquire(tokens, owner)
    pooled.held = [...tokens, ...Array.from({ length: 100 }, (_, i) => 1000 + i)]
    pool.release(pooled)
    return idOf(pooled)
  }
  expect(await ask([1, 2, 3, 4, 5, 6], 'chat')).toBe(0)
  expect(await ask([1, 2, 3, 4, 5, 6], 'chat')).toBe(0)
  expect(await ask([1, 2, 3, 4, 5, 6], 'rest:1')).toBe(0)
  // Edited within the conversation: its own session, though little is shared.
  expect(await ask([1, 2, 9, 9, 9, 9], 'rest:1')).toBe(0)
  // Only the template's opening is shared: not worth another's cache.
  expect(await ask([1, 2, 7, 7, 7, 7], 'other')).toBe(1)
})

test('without memory for a second session, requests wait for the first, in order', async () => {
  const { pool, closed } = makePool(false)
  const first = await pool.acquire([1], 'a')
  const order: string[] = []
  const waiting = ['b', 'c'].map(async owner => {
    const pooled = await pool.acquire([1], owner)
    order.push(owner)
    pool.release(pooled)
  })
  const abort = new AbortController()
  const cancelled = codeOf(pool.acquire([1], 'd', abort.signal))
  abort.abort()
  expect(await cancelled).toBe('E_CANCELLED')
  pool.release(first)
  await Promise.all(waiting)
  expect(order).toEqual(['b', 'c'])
  pool.close()
  expect(closed).toEqual([0])
  expect(await codeOf(pool.acquire([1], 'e'))).toBe('E_MODEL_UNKNOWN')
})

test('the queue has an end', async () => {
  const { pool } = makePool(false)
  await pool.acquire([1], 'a')
  const waiting = Array.from({ length: 512 }, () => codeOf(pool.acquire([1], 'b')))
  expect(await codeOf(pool.acquire([1], 'c'))).toBe('E_QUEUE_FULL')
  pool.close()
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['E_MODEL_UNKNOWN']))
})
