import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { call, contract, defineContract, shellContract } from '../../electron/contract'
import { contractHash } from '../../electron/contract/rpc/contract-hash'
import { decodeBinaryItem, encodeBinaryItem, jsonDepth } from '../../electron/contract/rpc/frames'
import { applyPatch, diff, type Json } from '../../electron/contract/rpc/json-patch'
import { sha256 } from '../../electron/contract/rpc/sha256'

test('sha256 equals the one of node:crypto on all block borders', () => {
  for (const text of ['', 'abc', 'ä€\u{1f600}', ...Array.from({ length: 130 }, (_, n) => 'x'.repeat(n)), 'long '.repeat(5000)]) {
    expect(sha256(text)).toBe(createHash('sha256').update(text).digest('hex'))
  }
})

test('the contract hash changes with any schema, and only then', () => {
  const make = (schema: z.ZodType): string =>
    contractHash(defineContract({ version: 1, calls: { a: call({ in: schema, out: z.object({}), scope: 'infer' }) }, streams: {}, state: {} }))
  expect(make(z.object({ a: z.string(), b: z.number() }))).toBe(make(z.object({ a: z.string(), b: z.number() })))
  expect(make(z.object({ a: z.string().max(5) }))).not.toBe(make(z.object({ a: z.string().max(6) })))
  expect(contractHash(contract)).toMatch(/^[0-9a-f]{64}$/)
  expect(contractHash(contract)).not.toBe(contractHash(shellContract))
})

describe('json patch', () => {
  const cases: [Json, Json, number][] = [
    [1, 2, 1], [{}, {}, 0], [{ a: 1 }, { a: 1, b: 2 }, 1], [{ a: 1, b: [1, 2] }, { b: [1, 2] }, 1],
    [[1, 2, 3], [0, 1, 2, 3], 1], [[1, 2, 3], [1, 3], 1], [[{ id: 1, n: 0 }, { id: 2 }], [{ id: 1, n: 5 }, { id: 2 }], 1],
    [[], [1, 2], 2], [{ 'a/b': 1, 'c~d': { x: 1 } }, { 'a/b': 2, 'c~d': { x: 2 } }, 2], [{ a: [] }, { a: {} }, 1], [[1, 2, 3, 4], [4, 3, 2, 1], 4],
    [JSON.parse('{"__proto__": 1}') as Json, JSON.parse('{"__proto__": 2}') as Json, 1],
  ]
  test.each(cases)('%j becomes %j', (before, after, nOperations) => {
    const operations = diff(before, after)
    expect(operations.length).toBe(nOperations)
    expect(applyPatch(before, operations)).toEqual(after)
  })

  test('keeps what did not change, and refuses what does not fit', () => {
    const before = { kept: { x: 1 }, list: [1] }
    const after = applyPatch(before, [{ op: 'replace', path: '/list/0', value: 2 }]) as typeof before
    expect(after).toEqual({ kept: { x: 1 }, list: [2] })
    expect(after.kept).toBe(before.kept)
    expect(before.list).toEqual([1])
    for (const path of ['/none/x', '/list/5', '/list/-1', '/kept/x/y', '/toString/x']) {
      expect(() => applyPatch(before, [{ op: 'replace', path, value: 1 }])).toThrow('no place')
    }
  })
})

test('binary items round-trip; anything else is refused', () => {
  const payload = Uint8Array.from([1, 2, 3])
  const frame = encodeBinaryItem(7, 9, payload)
  expect(decodeBinaryItem(frame)).toEqual({ stream: 7, seq: 9, payload })
  const shifted = new Uint8Array(frame.length + 3)
  shifted.set(frame, 3)
  expect((decodeBinaryItem(shifted.subarray(3))?.payload.byteOffset ?? 1) % 8).toBe(0)
  expect(decodeBinaryItem(frame.subarray(0, 10))).toBeUndefined()
  expect(decodeBinaryItem(frame.subarray(0, -1))).toBeUndefined()
  expect(decodeBinaryItem(Uint8Array.from(frame, (byte, i) => (i === 0 ? 9 : byte)))).toBeUndefined()
})

test('depth counts brackets outside strings', () => {
  expect(['1', '"[[["', '[]', '{"a":[1,{"b":"]}\\"[["}]}'].map(jsonDepth)).toEqual([0, 0, 1, 3])
})
