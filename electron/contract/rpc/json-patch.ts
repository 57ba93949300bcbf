// The subset of JSON Patch (RFC 6902) that state updates use: add, replace, remove.
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type PatchOperation =
  | { op: 'add' | 'replace', path: string, value: Json }
  | { op: 'remove', path: string }

// Operations that turn `before` into `after`.
export function diff(before: Json, after: Json, path = ''): PatchOperation[] {
  if (before === after) return []
  if (Array.isArray(before) && Array.isArray(after)) return diffArrays(before, after, path)
  if (isObject(before) && isObject(after)) return diffObjects(before, after, path)
  return [{ op: 'replace', path, value: after }]
}

// Returns a new value that shares what did not change. Throws when an operation does not fit.
export function applyPatch(value: Json, operations: readonly PatchOperation[]): Json {
  return operations.reduce<Json>((current, operation) => {
    const steps = operation.path.split('/').slice(1).map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    return applyAt(current, steps, operation)
  }, value)
}

function diffObjects(before: { [key: string]: Json }, after: { [key: string]: Json }, path: string): PatchOperation[] {
  const operations: PatchOperation[] = []
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) operations.push({ op: 'remove', path: `${path}/${escape(key)}` })
  }
  for (const [key, value] of Object.entries(after)) {
    const at = `${path}/${escape(key)}`
    if (Object.hasOwn(before, key)) operations.push(...diff(before[key] as Json, value, at))
    else operations.push({ op: 'add', path: at, value })
  }
  return operations
}

// Keeps the equal head and tail, so that an insertion at the front of a list stays one operation.
function diffArrays(before: Json[], after: Json[], path: string): PatchOperation[] {
  let head = 0
  while (head < Math.min(before.length, after.length) && equal(before[head], after[head])) head++
  let tail = 0
  while (tail < Math.min(before.length, after.length) - head && equal(before.at(-1 - tail), after.at(-1 - tail))) tail++
  const nBefore = before.length - head - tail
  const nAfter = after.length - head - tail
  const operations: PatchOperation[] = []
  for (let i = head; i < head + Math.min(nBefore, nAfter); i++) {
    operations.push(...diff(before[i] as Json, after[i] as Json, `${path}/${i}`))
  }
  for (let i = nBefore - 1; i >= nAfter; i--) operations.push({ op: 'remove', path: `${path}/${head + i}` })
  for (let i = nBefore; i < nAfter; i++) operations.push({ op: 'add', path: `${path}/${head + i}`, value: after[head + i] as Json })
  return operations
}

function applyAt(value: Json, steps: string[], operation: PatchOperation): Json {
  const [step, ...rest] = steps
  if (step === undefined) {
    if (operation.op === 'remove') throw new Error('the whole value cannot be removed')
    return operation.value
  }
  if (Array.isArray(value)) return applyInArray(value, step, rest, operation)
  if (!isObject(value)) throw new Error(`no place ${operation.path}`)
  const known = Object.hasOwn(value, step)
  if (!known && (rest.length > 0 || operation.op !== 'add')) throw new Error(`no place ${operation.path}`)
  if (rest.length === 0 && operation.op === 'remove') {
    return Object.fromEntries(Object.entries(value).filter(([key]) => key !== step))
  }
  return { ...value, [step]: applyAt((value[step] ?? null) as Json, rest, operation) }
}

function applyInArray(value: Json[], step: string, rest: string[], operation: PatchOperation): Json {
  const index = /^\d{1,9}$/.test(step) ? Number(step) : -1
  const adding = rest.length === 0 && operation.op === 'add'
  if (index < 0 || index > value.length - (adding ? 0 : 1)) throw new Error(`no place ${operation.path}`)
  if (adding) return value.toSpliced(index, 0, operation.value)
  if (rest.length === 0 && operation.op === 'remove') return value.toSpliced(index, 1)
  return value.with(index, applyAt(value[index] as Json, rest, operation))
}

function equal(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true
  if (a === undefined || b === undefined) return false
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => equal(item, b[i]))
  if (!isObject(a) || !isObject(b)) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every(key => Object.hasOwn(b, key) && equal(a[key], b[key]))
}

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function escape(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}
