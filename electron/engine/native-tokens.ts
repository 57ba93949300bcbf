import { WorkbenchError } from '../contract/errors'

// A copy as the addon wants it. Int32Array.from would silently wrap 2 ** 32 to 0 and turn NaN into 0.
export function toTokens(tokens: ArrayLike<number>, name: string): Int32Array {
  const result = new Int32Array(tokens.length)
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i] ?? Number.NaN
    if ((id | 0) !== id) throw new WorkbenchError('E_BAD_REQUEST', `${name}[${i}] must be a token id, got ${id}`)
    result[i] = id
  }
  return result
}
