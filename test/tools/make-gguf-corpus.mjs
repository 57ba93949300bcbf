// Writes test/fixtures/gguf-corpus: small GGUF files, most of them broken in one way each,
// and index.json with the message each must produce. Run it from anywhere:
//   node test/tools/make-gguf-corpus.mjs
// The same files are the seeds of the fuzzer (test/native/formats/gguf_fuzz.cc).
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = join(dirname(fileURLToPath(import.meta.url)), '..', 'fixtures', 'gguf-corpus')
const T = { u8: 0, i8: 1, u16: 2, i16: 3, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9, u64: 10, i64: 11, f64: 12 }
const TENSOR = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 8, Q4_K: 12, I32: 26 }

function number(bytes, write) {
  const buffer = Buffer.alloc(bytes)
  buffer[write.name](write.value, 0)
  return buffer
}
const u8 = value => Buffer.from([value])
const u16 = value => number(2, { name: 'writeUInt16LE', value })
const u32 = value => number(4, { name: 'writeUInt32LE', value })
const i32 = value => number(4, { name: 'writeInt32LE', value })
const u64 = value => number(8, { name: 'writeBigUInt64LE', value: BigInt(value) })
const i64 = value => number(8, { name: 'writeBigInt64LE', value: BigInt(value) })
const f32 = value => number(4, { name: 'writeFloatLE', value })
const text = value => {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value, 'utf8')
  return Buffer.concat([u64(bytes.length), bytes])
}

const key = (name, type, ...value) => Buffer.concat([text(name), u32(type), ...value])
const array = (name, type, count, ...elements) => key(name, T.array, u32(type), u64(count), ...elements)
const tensor = (name, dims, type, offset) =>
  Buffer.concat([text(name), u32(dims.length), ...dims.map(i64), u32(type), u64(offset)])

const architecture = key('general.architecture', T.string, text('llama'))
const keys = [
  architecture,
  key('llama.block_count', T.u32, u32(2)),
  key('llama.rope.freq_base', T.f32, f32(10000)),
  key('llama.expert_weights_norm', T.bool, u8(1)),
  array('tokenizer.ggml.tokens', T.string, 3, text('<s>'), text('a'), text('é')),
  array('tokenizer.ggml.scores', T.f32, 3, f32(0), f32(-1), f32(-2)),
  array('llama.attention.head_count_kv', T.i32, 2, i32(4), i32(2)),
]
const tensors = [tensor('token_embd.weight', [32, 3], TENSOR.Q8_0, 0), tensor('output_norm.weight', [32], TENSOR.F32, 128)]
const dataBytes = 256

// A whole file; every part can be replaced.
function gguf({ magic = 'GGUF', version = u32(3), nTensors, nKeys, keys: k = keys, tensors: t = tensors, data = dataBytes,
  alignment = 32 } = {}) {
  const head = Buffer.concat([Buffer.from(magic), version, i64(nTensors ?? t.length), i64(nKeys ?? k.length), ...k, ...t])
  const padding = Buffer.alloc((alignment - (head.length % alignment)) % alignment)
  return Buffer.concat([head, padding, Buffer.alloc(data, 0x11)])
}
const valid = gguf()
const withKeys = (...extra) => gguf({ keys: [...keys, ...extra] })
const withTensors = (...list) => gguf({ tensors: list })

const files = []
const broken = (name, bytes, error, code = 'E_GGUF') => files.push({ name, bytes, error, code })
const good = (name, bytes) => files.push({ name, bytes })

good('valid', valid)
good('valid-version-2', gguf({ version: u32(2) }))
good('valid-no-tensors', gguf({ tensors: [], data: 0 }))
good('valid-alignment-64', gguf({ keys: [...keys, key('general.alignment', T.u32, u32(64))], alignment: 64 }))
good('valid-gap', withTensors(tensor('a', [32], TENSOR.F32, 0), tensor('b', [32], TENSOR.F32, 128 + 0)))
good('valid-zero-elements', withTensors(tensor('a', [32, 0], TENSOR.F32, 0), tensor('b', [32], TENSOR.F32, 0)))
good('valid-scalar-tensor', withTensors(tensor('a', [], TENSOR.F32, 0)))

broken('empty', Buffer.alloc(0), 'the file has 0 bytes')
broken('three-bytes', Buffer.from('GGU'), 'the file has 3 bytes')
broken('magic', gguf({ magic: 'GGUE' }), 'byte 0: expected the letters GGUF, found "GGUE"')
broken('lfs-pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), 'found "vers"')
broken('web-page', Buffer.from('<!doctype html><title>Sign in</title>'), 'found "<!do"')
broken('other-byte-order', gguf({ version: Buffer.from([0, 0, 0, 3]) }), 'other byte order')
broken('version-1', gguf({ version: u32(1) }), 'GGUF version 1')
broken('version-0', gguf({ version: u32(0) }), 'other byte order')
broken('version-4', gguf({ version: u32(4) }), 'GGUF version 4 is not known')

const cuts = [
  ['version', 6, 'ends 2 bytes before the end of the version'],
  ['counts', 17, 'announces 2 tensors, but only 1 bytes follow'],
  ['keys', 130, 'ends 4 bytes before the end of the type of key llama.rope.freq_base'],
  ['key-count', 60, 'announces 2 tensors, but only 44 bytes follow'],
  ['array', valid.indexOf('tokenizer.ggml.scores') + 40, 'ends 9 bytes before the end of the value of key tokenizer.ggml.scores'],
  ['tensors', valid.indexOf('token_embd') + 12, 'ends 5 bytes before the end of the name of tensor 1'],
]
for (const [name, at, error] of cuts) broken(`truncated-${name}`, valid.subarray(0, at), error)
broken('truncated-before-tensor', valid.subarray(0, valid.length - 150), 'the file ends 22 bytes before tensor output_norm.weight')
broken('truncated-in-tensor', valid.subarray(0, valid.length - 100), 'the file ends 100 bytes before the end of tensor output_norm.weight')

broken('negative-tensors', gguf({ nTensors: -1 }), '-1 tensors')
broken('negative-keys', gguf({ nKeys: -5 }), '-5 keys')
broken('overflowing-tensors', gguf({ nTensors: '9223372036854775807' }), '9223372036854775807 tensors')
broken('overflowing-keys', gguf({ nKeys: '4611686018427387904' }), '4611686018427387904 keys')
broken('one-key-too-many', gguf({ nKeys: keys.length + 1, tensors: [], data: 0, alignment: 1 }), 'before the end of')
broken('key-empty', withKeys(key('', T.u8, u8(1))), 'the name of a key is empty')
broken('key-not-utf8', withKeys(key(Buffer.from([0x61, 0xff, 0x62]), T.u8, u8(1))), '"a\\xffb" is not valid UTF-8')
broken('key-control', withKeys(key('a\nb', T.u8, u8(1))), 'control characters')
broken('key-long', withKeys(key('k'.repeat(65536), T.u8, u8(1))), 'has a length of 65536 bytes')
broken('key-huge', withKeys(Buffer.concat([u64('18446744073709551615'), u32(0)])), 'has a length of 18446744073709551615 bytes')
broken('key-twice', withKeys(architecture), 'the key general.architecture occurs twice')
broken('type-unknown', withKeys(key('x', 13, u32(0))), 'key x has type 13')
broken('string-endless', withKeys(key('x', T.string, u64(1 << 29), Buffer.from('abc'))), 'before the end of the value of key x')
broken('string-overflow', withKeys(key('x', T.string, u64('18446744073709551608'))), 'the value of key x has a length of')
broken('array-nested', withKeys(array('x', T.array, 1, u32(T.u8), u64(1), u8(1))), 'array of arrays')
broken('array-type-unknown', withKeys(array('x', 77, 1, u8(1))), 'key x has type 77')
broken('array-endless', withKeys(array('x', T.f64, 1 << 30)), 'before the end of the value of key x')
broken('array-overflow', withKeys(array('x', T.u64, '2305843009213693952')), 'at most 1073741824 are allowed')
broken('array-endless-strings', withKeys(array('x', T.string, 1 << 29)), 'strings cannot fit')
broken('array-short-strings', gguf({ keys: [array('x', T.string, 2, text('one'))], tensors: [], data: 5, alignment: 1 }), 'before the end of')

for (const value of [0, 3, 48, 0xffffffff])
  broken(`alignment-${value}`, withKeys(key('general.alignment', T.u32, u32(value))), `general.alignment is ${value}: expected a power of two`)
broken('alignment-u64', withKeys(key('general.alignment', T.u64, u64(32))), 'of type u64: expected u32')
broken('alignment-array', withKeys(array('general.alignment', T.u32, 1, u32(32))), 'expected u32')
broken('alignment-huge', withKeys(key('general.alignment', T.u32, u32(0x80000000))), 'offset 128, which is no multiple')
broken('alignment-1-odd', gguf({ keys: [key('general.alignment', T.u32, u32(1)), key('odd', T.u8, u8(1))],
  tensors: [tensor('a', [4], TENSOR.F32, 0)], alignment: 1 }), 'does not begin at a multiple of 4')

broken('tensor-name-empty', withTensors(tensor('', [32], TENSOR.F32, 0)), 'the name of a tensor is empty')
broken('tensor-name-64', withTensors(tensor('n'.repeat(64), [32], TENSOR.F32, 0)), 'has a length of 64 bytes, at most 63')
broken('tensor-name-not-utf8', withTensors(tensor(Buffer.from([0xc0, 0xaf]), [32], TENSOR.F32, 0)), 'not valid UTF-8')
broken('tensor-twice', withTensors(tensor('a', [8], TENSOR.F32, 0), tensor('a', [8], TENSOR.F32, 32)), 'the tensor a occurs twice')
broken('tensor-5-dims', withTensors(tensor('a', [1, 1, 1, 1, 1], TENSOR.F32, 0)), '5 dimensions, at most 4')
broken('tensor-many-dims', withTensors(Buffer.concat([text('a'), u32(0xffffffff)])), '4294967295 dimensions')
broken('tensor-negative-dim', withTensors(tensor('a', [32, -1], TENSOR.F32, 0)), 'negative dimension -1')
broken('tensor-overflow', withTensors(tensor('a', [1n << 32n, 1n << 32n, 1n << 32n], TENSOR.F32, 0)), 'its size overflows')
broken('tensor-overflow-bytes', withTensors(tensor('a', [1n << 61n], TENSOR.F32, 0)), 'its size overflows')
broken('tensor-overflow-zero', withTensors(tensor('a', [1n << 62n, 1n << 62n, 0], TENSOR.F32, 0)), 'its size overflows')
broken('tensor-huge', withTensors(tensor('a', [1n << 60n], TENSOR.F32, 0)), 'before the end of tensor a')
broken('tensor-offset-odd', withTensors(tensor('a', [8], TENSOR.F32, 4)), 'offset 4, which is no multiple of the alignment 32')
broken('tensor-offset-far', withTensors(tensor('a', [8], TENSOR.F32, 1 << 30)), 'bytes before tensor a')
broken('tensor-offset-overflow', withTensors(tensor('a', [8], TENSOR.F32, '18446744073709551584')), 'which overflows')
broken('tensor-overlap', withTensors(tensor('a', [32], TENSOR.F32, 0), tensor('b', [8], TENSOR.F32, 96)), 'tensor b overlaps the last 32 bytes of tensor a')
broken('tensor-overlap-same', withTensors(tensor('a', [8], TENSOR.F32, 32), tensor('b', [16], TENSOR.F32, 32)), 'overlaps')
broken('tensor-row', withTensors(tensor('a', [33], TENSOR.Q8_0, 0)), 'tensor a has rows of 33 elements: Q8_0 needs a multiple of 32')
for (const [id, message] of [[4, 'removed from GGUF'], [5, 'removed from GGUF'], [9, 'activations'], [15, 'activations'], [31, 'get a Q4_0 or IQ4_NL file'],
  [38, 'get a Q4_0 or IQ4_NL file'], [144, 'ik_llama.cpp'], [5000, 'unknown']])
  broken(`tensor-type-${id}`, withTensors(tensor('a', [256], id, 0)), message, 'E_UNSUPPORTED')

const part = (no, count, total, list) => gguf({
  keys: [architecture, key('split.no', T.u16, u16(no)), key('split.count', T.u16, u16(count)), key('split.tensors.count', T.i32, i32(total))],
  tensors: list,
})
const one = name => [tensor(name, [8], TENSOR.F32, 0)]
good('split-00001-of-00002', part(0, 2, 2, one('a')))
good('split-00002-of-00002', part(1, 2, 2, one('b')))
broken('gap-00001-of-00003', part(0, 3, 2, one('a')), 'part 2 of 3 is missing: gap-00002-of-00003.gguf', 'E_SHARD_MISSING')
broken('lost-00002-of-00002', part(1, 2, 2, one('b')), 'part 1 of 2 is missing: lost-00001-of-00002.gguf', 'E_SHARD_MISSING')
broken('order-00001-of-00002', part(1, 2, 2, one('a')), 'split.no is 1, expected 0')
broken('order-00002-of-00002', part(0, 2, 2, one('b')), 'split.no is 1, expected 0')
broken('double-00001-of-00002', part(0, 2, 2, one('a')), 'tensor a occurs in an earlier part')
broken('double-00002-of-00002', part(1, 2, 2, one('a')), 'tensor a occurs in an earlier part')
broken('total-00001-of-00002', part(0, 2, 7, one('a')), 'split.tensors.count is 7, but the 2 parts hold 2 tensors')
broken('total-00002-of-00002', part(1, 2, 7, one('b')), 'split.tensors.count is 7')
broken('split-renamed', part(0, 2, 2, one('a')), 'the file is one of 2 parts, so its name must end in')
broken('count-00001-of-00002', part(0, 2, 2, one('a')), 'count-00002-of-00002.gguf: split.count is 3, expected 2')
broken('count-00002-of-00002', part(1, 3, 2, one('b')), 'one of 3 parts')

mkdirSync(folder, { recursive: true })
for (const name of readdirSync(folder)) if (/^[^.]+\.gguf$/.test(name)) rmSync(join(folder, name))
for (const { name, bytes } of files) writeFileSync(join(folder, `${name}.gguf`), bytes)
const index = files.map(({ name, error, code }) => ({ file: `${name}.gguf`, ...(error === undefined ? {} : { code, error }) }))
writeFileSync(join(folder, 'index.json'), `[\n${index.map(entry => `  ${JSON.stringify(entry)}`).join(',\n')}\n]\n`)
process.stdout.write(`${index.length} files\n`)
