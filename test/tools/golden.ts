// Reader of golden models: NAME.gguf with reference outputs in NAME.json and NAME.bin. Those
// too large for test/fixtures are looked for in MOEBIUS_GOLDENS.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface GoldenArray { shape: number[], data: Float32Array | Int32Array | Uint8Array }
export interface Golden {
  gguf: string
  sequences: Record<string, number[]>
  greedy: { prompt: string, tokens: number[], gaps: number[] } | undefined
  array(name: string): GoldenArray
  floats(name: string): Float32Array
  integers(name: string): Int32Array
}

const root = join(import.meta.dirname, '../..')
const folders = [
  join(root, 'test/fixtures/models'),
  ...(process.env['MOEBIUS_GOLDENS'] ? [join(process.env['MOEBIUS_GOLDENS'], 'models')] : []),
  join(root, '../shared/fixtures/models'),
]

export function goldenFolder(name: string): string | undefined {
  return folders.find(folder => existsSync(join(folder, `${name}.json`)))
}

export function readGolden(name: string): Golden {
  const folder = goldenFolder(name)
  if (folder === undefined) throw new Error(`no golden ${name}: set MOEBIUS_GOLDENS to the folder that has models/${name}.json`)
  const meta = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as {
    bin: string, sequences: Record<string, number[]>, greedy?: Golden['greedy']
    arrays: { name: string, dtype: 'f32' | 'i32' | 'u8', shape: number[], offset: number, nbytes: number }[]
  }
  const file = readFileSync(join(folder, meta.bin))
  const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength)
  const types = { f32: Float32Array, i32: Int32Array, u8: Uint8Array }
  const array = (wanted: string): GoldenArray => {
    const entry = meta.arrays.find(candidate => candidate.name === wanted)
    if (!entry) throw new Error(`${name} has no array ${wanted}`)
    const type = types[entry.dtype]
    return { shape: entry.shape, data: new type(buffer, entry.offset, entry.nbytes / type.BYTES_PER_ELEMENT) }
  }
  return {
    gguf: join(folder, `${name}.gguf`),
    sequences: meta.sequences,
    greedy: meta.greedy,
    array,
    floats: wanted => array(wanted).data as Float32Array,
    integers: wanted => array(wanted).data as Int32Array,
  }
}

// sum((x - reference)^2) / sum(reference^2) of every row of `width` values.
export function nmsePerRow(values: Float32Array, reference: Float32Array, width: number): number[] {
  if (values.length !== reference.length) throw new Error(`${values.length} values, ${reference.length} expected`)
  const result: number[] = []
  for (let start = 0; start < values.length; start += width) {
    let error = 0
    let power = 0
    for (let i = start; i < start + width; i++) {
      error += (values[i]! - reference[i]!) ** 2
      power += reference[i]! ** 2
    }
    result.push(error / power)
  }
  return result
}
