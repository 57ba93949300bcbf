// Writes a synthetic GGUF of a real model's shape with random weights of sane scale, for
// speed measurements only:
//   node test/bench/make-model.mjs --shape v2-lite --format Q4_K --out /some/where/v2-lite.Q4_K.gguf [--tokenizer VOCAB.gguf]
// Tokens come from a vocabulary-only GGUF, padded to the shape's size. --layers, --experts and
// --vocab write a part of the shape, for machines that cannot hold the whole.
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { blockPool, formatForRow, formats } from './synthetic-formats.mjs'
import { partOfShape, shapeNames } from './synthetic-shapes.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const { values } = parseArgs({
  options: {
    shape: { type: 'string' }, format: { type: 'string', default: 'Q4_K' }, out: { type: 'string' },
    head: { type: 'string', default: 'Q6_K' },
    layers: { type: 'string' }, experts: { type: 'string' }, vocab: { type: 'string' },
    tokenizer: { type: 'string', default: join(here, '../fixtures/tokenizers/ggml-vocab-deepseek-coder.gguf') },
  },
})
if (!shapeNames.includes(values.shape) || !formats[values.format] || !formats[values.head] || !values.out) {
  console.error(`usage: make-model.mjs --shape ${shapeNames.join('|')} --format ${Object.keys(formats).join('|')} --out FILE [--head FORMAT] [--tokenizer FILE] [--layers N] [--experts N] [--vocab N]`)
  process.exit(2)
}
const count = value => value === undefined ? undefined : Number(value)
let shape
try {
  shape = partOfShape(values.shape, { layers: count(values.layers), experts: count(values.experts), vocab: count(values.vocab) })
} catch (error) {
  console.error(error.message)
  process.exit(2)
}

const typeIds = { u8: 0, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9, u64: 10 }

function u32(value) { const b = Buffer.alloc(4); b.writeUInt32LE(value); return b }
function u64(value) { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(value)); return b }
function text(value) { const b = Buffer.from(value); return Buffer.concat([u64(b.length), b]) }

function encodeValue(type, value) {
  if (type === 'f32') { const b = Buffer.alloc(4); b.writeFloatLE(value); return b }
  if (type === 'bool') return Buffer.from([value ? 1 : 0])
  if (type === 'string') return text(value)
  return u32(value)
}

function keyValue(key, type, value) {
  return Buffer.concat([text(key), u32(typeIds[type]), encodeValue(type, value)])
}

// The tokenizer's keys of a vocabulary file, as they stand, and its number of tokens.
function readTokenizer(path) {
  const file = readFileSync(path)
  let at = 24
  const skip = (type, count) => {
    const width = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }[type]
    if (width) { at += width * count; return }
    for (let i = 0; i < count; ++i) {
      if (type === 8) at += 8 + Number(file.readBigUInt64LE(at))
      else { const inner = file.readUInt32LE(at); const n = Number(file.readBigUInt64LE(at + 4)); at += 12; skip(inner, n) }
    }
  }
  const keys = new Map()
  for (let i = Number(file.readBigUInt64LE(16)); i > 0; --i) {
    const start = at
    const length = Number(file.readBigUInt64LE(at))
    const key = file.toString('utf8', at + 8, at + 8 + length)
    at += 8 + length + 4
    const valueAt = at
    skip(file.readUInt32LE(at - 4), 1)
    if (key.startsWith('tokenizer.')) keys.set(key, { whole: file.subarray(start, at), value: file.subarray(valueAt, at) })
  }
  return keys
}

// An array value [u32 type][u64 count][elements] with `extra` elements appended.
function extendArray(key, value, extra) {
  const count = Number(value.readBigUInt64LE(4))
  return Buffer.concat([text(key), u32(typeIds.array), value.subarray(0, 4), u64(count + extra.length), value.subarray(12), ...extra])
}

function tokenizerEntries(vocabSize) {
  const keys = readTokenizer(values.tokenizer)
  const present = Number(keys.get('tokenizer.ggml.tokens').value.readBigUInt64LE(4))
  const missing = vocabSize - present
  if (missing < 0) throw new Error(`the vocabulary has ${present} tokens, the shape only ${vocabSize}`)
  const padding = {
    'tokenizer.ggml.tokens': i => text(`<unused_${i}>`),
    'tokenizer.ggml.token_type': () => u32(5),
    'tokenizer.ggml.scores': () => encodeValue('f32', -1000),
  }
  return [...keys].map(([key, { whole, value }]) => key in padding
    ? extendArray(key, value, Array.from({ length: missing }, (_, i) => padding[key](i)))
    : whole)
}

function describeTensors() {
  let offset = 0
  return shape.tensors.map(({ name, dims, kind }) => {
    const wanted = kind === 'float' ? 'F32' : name === 'output.weight' ? values.head : values.format
    const format = formatForRow(wanted, dims[0])
    const rows = dims.slice(1).reduce((product, n) => product * n, 1)
    const bytes = dims[0] / formats[format].elements * formats[format].bytes * rows
    const tensor = { name, dims, kind, format, bytes, offset }
    offset += Math.ceil(bytes / 32) * 32
    return tensor
  })
}

function header(tensors) {
  const entries = [...shape.keys.map(([key, type, value]) => keyValue(key, type, value)), ...tokenizerEntries(shape.vocabSize)]
  const infos = tensors.map(({ name, dims, format, offset }) =>
    Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(formats[format].id), u64(offset)]))
  const head = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(entries.length), ...entries, ...infos])
  return Buffer.concat([head, Buffer.alloc((32 - head.length % 32) % 32)])
}

const pools = new Map()

// Norms are ones; everything else has variance 1 / n_in, so that activations keep their size.
function poolFor({ name, kind, dims, format }) {
  if (kind === 'float' && /norm/.test(name)) return Buffer.from(new Float32Array(1 << 20).fill(1).buffer)
  const std = name === 'token_embd.weight' ? 1 : 1 / Math.sqrt(dims[0])
  const key = `${format}:${std}`
  if (!pools.has(key)) pools.set(key, blockPool(format, std))
  return pools.get(key)
}

const tensors = describeTensors()
const file = openSync(values.out, 'w')
writeSync(file, header(tensors))
for (const tensor of tensors) {
  const pool = poolFor(tensor)
  for (let left = tensor.bytes; left > 0; left -= pool.length) writeSync(file, pool, 0, Math.min(left, pool.length))
  writeSync(file, Buffer.alloc((32 - tensor.bytes % 32) % 32))
}
closeSync(file)
const total = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0)
const parameters = tensors.reduce((sum, tensor) => sum + tensor.dims.reduce((product, n) => product * n, 1), 0)
console.log(`${values.out}: ${tensors.length} tensors, ${(parameters / 1e9).toFixed(2)} B parameters, ${(total / 2 ** 30).toFixed(2)} GiB`)
