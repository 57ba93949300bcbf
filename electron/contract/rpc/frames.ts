// The frames that travel on a wire. Control is JSON text; bulk is one binary frame with a header
// of 16 bytes, so that typed-array views of the payload are aligned:
//
//   u8 kind (1 = stream item), u8 flags, u16 reserved, u32 stream, u32 seq, u32 payload_bytes
import { z } from 'zod'
import type { WorkbenchErrorShape } from '../errors'
import type { PatchOperation } from './json-patch'

export const protocolVersion = 1
export const maxFrameBytes = 8 * 1024 * 1024
export const defaultMethodBytes = 256_000
export const maxDepth = 32
export const maxInFlightBytes = 1024 * 1024
export const ringItems = 256
export const ringBytes = 1024 * 1024
export const pingEveryMs = 15_000
export const binaryHeaderBytes = 16
const binaryItemKind = 1

const Id = z.number().int().min(1).max(2 ** 32 - 1)
const Seq = z.number().int().min(0).max(2 ** 32 - 1)
const Credit = z.number().int().min(0).max(65_536)
const Name = z.string().max(200)

// What a client may send. `p` is checked against the method's own schema later.
export const ClientFrame = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('hello'), v: z.number(), contract: Name, app: Name, session: z.string().min(8).max(100),
    resume: z.array(z.object({ id: Id, from: Seq, credit: Credit })).max(1000).optional(),
  }),
  z.object({ t: z.literal('call'), id: Id, m: Name, p: z.unknown() }),
  z.object({ t: z.literal('cancel'), id: Id }),
  z.object({ t: z.literal('open'), id: Id, m: Name, p: z.unknown(), credit: Credit }),
  z.object({ t: z.literal('credit'), id: Id, n: Credit }),
  z.object({ t: z.literal('sub'), key: Name }),
  z.object({ t: z.literal('unsub'), key: Name }),
  z.object({ t: z.literal('ping') }),
  z.object({ t: z.literal('pong') }),
])
export type ClientFrame = z.infer<typeof ClientFrame>

export type ServerFrame =
  | { t: 'hello', v: number, contract: string, app: string, session: string, resumed: boolean, error?: WorkbenchErrorShape }
  | { t: 'ok', id: number, r: unknown }
  | { t: 'err', id: number, e: WorkbenchErrorShape }
  | { t: 'item', id: number, seq: number, d: unknown }
  | { t: 'end', id: number }
  | { t: 'fail', id: number, e: WorkbenchErrorShape }
  | { t: 'state', key: string, seq: number, d: unknown }
  | { t: 'patch', key: string, seq: number, ops: PatchOperation[] }
  | { t: 'ping' } | { t: 'pong' }

export interface BinaryItem { stream: number, seq: number, payload: Uint8Array }

export function encodeBinaryItem(stream: number, seq: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(binaryHeaderBytes + payload.length)
  const view = new DataView(frame.buffer)
  view.setUint8(0, binaryItemKind)
  view.setUint32(4, stream, true)
  view.setUint32(8, seq, true)
  view.setUint32(12, payload.length, true)
  frame.set(payload, binaryHeaderBytes)
  return frame
}

// undefined for bytes that are no binary item.
export function decodeBinaryItem(frame: Uint8Array): BinaryItem | undefined {
  if (frame.length < binaryHeaderBytes) return undefined
  // A carrier may hand out a slice of a larger buffer; views over the payload need alignment.
  const bytes = frame.byteOffset % 8 === 0 ? frame : frame.slice()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint8(0) !== binaryItemKind || view.getUint32(12, true) !== bytes.length - binaryHeaderBytes) return undefined
  return { stream: view.getUint32(4, true), seq: view.getUint32(8, true), payload: bytes.subarray(binaryHeaderBytes) }
}

// Nesting of a JSON text, found without building the value.
export function jsonDepth(text: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (inString) {
      if (code === 0x5c) i++
      else if (code === 0x22) inString = false
    } else if (code === 0x22) inString = true
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth)
    else if (code === 0x7d || code === 0x5d) depth--
  }
  return deepest
}
