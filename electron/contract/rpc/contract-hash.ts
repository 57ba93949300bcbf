// A contract's fingerprint: SHA-256 over a canonical text of its schemas. Both ends compare it in
// their hello, so that an old window never talks past a new host.
import { z } from 'zod'
import type { ContractSpec } from '../define'
import { sha256 } from './sha256'

const known = new WeakMap<ContractSpec, string>()

export function contractHash(contract: ContractSpec): string {
  let hash = known.get(contract)
  if (hash === undefined) {
    hash = sha256(contractText(contract))
    known.set(contract, hash)
  }
  return hash
}

export function contractText(contract: ContractSpec): string {
  const schema = (type: z.ZodType): unknown => z.toJSONSchema(type, { io: 'input', unrepresentable: 'any' })
  return canonical({
    version: contract.version,
    calls: mapValues(contract.calls, spec => ({ in: schema(spec.in), out: schema(spec.out), scope: spec.scope })),
    streams: mapValues(contract.streams, spec => ({
      in: schema(spec.in), out: 'binary' in spec.out ? spec.out.binary : schema(spec.out),
      scope: spec.scope, drop: spec.drop, resume: spec.resume,
    })),
    state: mapValues(contract.state, schema),
  })
}

function mapValues<T>(record: Record<string, T>, map: (value: T) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]))
}

// JSON with sorted keys.
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value).filter(([, item]) => item !== undefined && typeof item !== 'function')
  return `{${entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`
}
