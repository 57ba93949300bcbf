// A llama model of more than 2 GiB whose weights are a hole in the file: no block of the
// disk, and no page of memory until somebody reads it.
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { rawAddon } from './support'

type Value = { u32: number } | { f32: number } | { text: string } | { texts: string[] } | { floats: number[] } | { integers: number[] }

const hidden = 4096
const wide = 65_536
const vocabulary = ['<unk>', '<s>', '</s>', ...Array.from({ length: 29 }, (_, i) => `▁word${i}`)]

const metadata: Record<string, Value> = {
  'general.architecture': { text: 'llama' },
  'llama.block_count': { u32: 1 },
  'llama.context_length': { u32: 128 },
  'llama.embedding_length': { u32: hidden },
  'llama.feed_forward_length': { u32: wide },
  'llama.attention.head_count': { u32: 32 },
  'llama.attention.head_count_kv': { u32: 8 },
  'llama.attention.layer_norm_rms_epsilon': { f32: 1e-5 },
  'llama.rope.dimension_count': { u32: hidden / 32 },
  'tokenizer.ggml.model': { text: 'llama' },
  'tokenizer.ggml.tokens': { texts: vocabulary },
  'tokenizer.ggml.scores': { floats: vocabulary.map((_, i) => -i) },
  'tokenizer.ggml.token_type': { integers: vocabulary.map((_, i) => (i === 0 ? 2 : i < 3 ? 3 : 1)) },
  'tokenizer.ggml.bos_token_id': { u32: 1 },
  'tokenizer.ggml.eos_token_id': { u32: 2 },
  'tokenizer.ggml.unknown_token_id': { u32: 0 },
}

// All F32; the first extent is contiguous.
const tensors: [string, ...number[]][] = [
  ['token_embd.weight', hidden, vocabulary.length], ['output_norm.weight', hidden], ['output.weight', hidden, vocabulary.length],
  ['blk.0.attn_norm.weight', hidden], ['blk.0.attn_q.weight', hidden, hidden], ['blk.0.attn_k.weight', hidden, hidden / 4],
  ['blk.0.attn_v.weight', hidden, hidden / 4], ['blk.0.attn_output.weight', hidden, hidden], ['blk.0.ffn_norm.weight', hidden],
  ['blk.0.ffn_gate.weight', hidden, wide], ['blk.0.ffn_up.weight', hidden, wide], ['blk.0.ffn_down.weight', wide, hidden],
]

// Returns the size of the file.
export function writeSparseModel(path: string): number {
  const parts: Buffer[] = []
  const u32 = (value: number): void => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); parts.push(bytes) }
  const u64 = (value: number): void => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(BigInt(value)); parts.push(bytes) }
  const f32 = (value: number): void => { const bytes = Buffer.alloc(4); bytes.writeFloatLE(value); parts.push(bytes) }
  const text = (value: string): void => { const bytes = Buffer.from(value); u64(bytes.length); parts.push(bytes) }
  const array = <T>(type: number, values: T[], write: (value: T) => void): void => { u32(9); u32(type); u64(values.length); values.forEach(write) }
  parts.push(Buffer.from('GGUF'))
  u32(3)
  u64(tensors.length)
  u64(Object.keys(metadata).length)
  for (const [key, value] of Object.entries(metadata)) {
    text(key)
    if ('u32' in value) { u32(4); u32(value.u32) }
    else if ('f32' in value) { u32(6); f32(value.f32) }
    else if ('text' in value) { u32(8); text(value.text) }
    else if ('texts' in value) array(8, value.texts, text)
    else if ('floats' in value) array(6, value.floats, f32)
    else array(5, value.integers, u32)
  }
  let offset = 0
  for (const [name, ...shape] of tensors) {
    text(name)
    u32(shape.length)
    shape.forEach(u64)
    u32(0)
    u64(offset)
    offset += 4 * shape.reduce((a, b) => a * b, 1)
  }
  const header = Buffer.concat(parts)
  const bytes = Math.ceil(header.length / 32) * 32 + offset
  const file = openSync(path, 'w')
  writeSync(file, header)
  ftruncateSync(file, bytes)
  closeSync(file)
  return bytes
}

// Loads without reading the weights ahead, as the engine does when they do not fit in memory.
export async function loadSparse(path: string, whileLoaded: () => void): Promise<void> {
  const addon = rawAddon()
  const model = await addon.loadModel(path, { touchWeights: false, threads: 1 })
  const session = addon.createSession(model, 128, 'f16')
  whileLoaded()
  addon.closeSession(session)
  await addon.closeModel(model)
}
