// Random blocks of each quant_format with a wanted standard deviation. `std` is that of
// values decoded from random bits with scale 1 (and, with a minimum term, `ratio` times the
// scale as minimum, which centres them); measured once with gguf-py's decoders.
import { randomFillSync } from 'node:crypto'

const f16At = (at, std, minimum) => ({ at, std, minimum })

// [block elements, block bytes, where the scale is]
export const formats = {
  F32: { id: 0, elements: 1, bytes: 4, fill: fillFloats(4) },
  F16: { id: 1, elements: 1, bytes: 2, fill: fillFloats(2) },
  BF16: { id: 30, elements: 1, bytes: 2, fill: fillFloats(-2) },
  Q4_0: { id: 2, elements: 32, bytes: 18, scale: f16At(0, 4.607) },
  Q4_1: { id: 3, elements: 32, bytes: 20, scale: f16At(0, 4.607, { at: 2, ratio: -7.505 }) },
  Q5_0: { id: 6, elements: 32, bytes: 22, scale: f16At(0, 9.24) },
  Q5_1: { id: 7, elements: 32, bytes: 24, scale: f16At(0, 9.227, { at: 2, ratio: -15.516 }) },
  Q8_0: { id: 8, elements: 32, bytes: 34, scale: f16At(0, 73.87) },
  Q2_K: { id: 10, elements: 256, bytes: 84, scale: f16At(80, 13.87, { at: 82, ratio: 1.5026 }) },
  Q3_K: { id: 11, elements: 256, bytes: 110, scale: f16At(108, 43.39) },
  Q4_K: { id: 12, elements: 256, bytes: 144, scale: f16At(0, 259.1, { at: 2, ratio: 7.497 }) },
  Q5_K: { id: 13, elements: 256, bytes: 176, scale: f16At(0, 528.1, { at: 2, ratio: 15.464 }) },
  Q6_K: { id: 14, elements: 256, bytes: 210, scale: f16At(208, 1364) },
  IQ2_XXS: { id: 16, elements: 256, bytes: 66, scale: f16At(0, 53.23) },
  IQ2_XS: { id: 17, elements: 256, bytes: 74, scale: f16At(0, 55.87) },
  IQ3_XXS: { id: 18, elements: 256, bytes: 98, scale: f16At(0, 142.2) },
  IQ1_S: { id: 19, elements: 256, bytes: 50, scale: f16At(0, 7.239) },
  IQ4_NL: { id: 20, elements: 32, bytes: 18, scale: f16At(0, 67.21) },
  IQ3_S: { id: 21, elements: 256, bytes: 110, scale: f16At(0, 140.1) },
  IQ2_S: { id: 22, elements: 256, bytes: 82, scale: f16At(0, 56.43) },
  IQ4_XS: { id: 23, elements: 256, bytes: 136, scale: f16At(0, 1249) },
  TQ1_0: { id: 34, elements: 256, bytes: 54, scale: f16At(52, 0.817) },
  TQ2_0: { id: 35, elements: 256, bytes: 66, scale: f16At(64, 1.118) },
  MXFP4: { id: 39, elements: 32, bytes: 17, fill: fillMxfp4 },
}

// What quantisers use when a row is no multiple of 256.
const narrow = {
  Q2_K: 'Q4_0', Q3_K: 'Q4_0', TQ1_0: 'Q4_0', TQ2_0: 'Q4_0', Q4_K: 'Q5_0', Q5_K: 'Q5_1', Q6_K: 'Q8_0',
  IQ1_S: 'IQ4_NL', IQ2_XXS: 'IQ4_NL', IQ2_XS: 'IQ4_NL', IQ2_S: 'IQ4_NL', IQ3_XXS: 'IQ4_NL', IQ3_S: 'IQ4_NL', IQ4_XS: 'IQ4_NL',
}

// The format a quantiser would really write for rows of n elements.
export function formatForRow(name, n) {
  if (n % formats[name].elements === 0) return name
  const fallback = narrow[name] ?? 'F16'
  return n % formats[fallback].elements === 0 ? fallback : 'F16'
}

const poolBytes = 8 << 20

// At least min(8 MiB, bytes) of valid random blocks with the given standard deviation.
export function blockPool(name, std) {
  const format = formats[name]
  const pool = Buffer.alloc(Math.floor(poolBytes / format.bytes) * format.bytes)
  if (format.fill) {
    format.fill(pool, std)
    return pool
  }
  randomFillSync(pool)
  const d = std / format.scale.std
  for (let at = 0; at < pool.length; at += format.bytes) {
    pool.writeUInt16LE(toHalf(d), at + format.scale.at)
    if (format.scale.minimum) pool.writeUInt16LE(toHalf(d * format.scale.minimum.ratio), at + format.scale.minimum.at)
  }
  return pool
}

// bytes > 0: f16 or f32; -2: bf16. Sums of four uniforms are near enough to a Gaussian.
function fillFloats(bytes) {
  return (pool, std) => {
    const width = Math.abs(bytes)
    const spread = std * Math.sqrt(3)
    for (let at = 0; at < pool.length; at += width) {
      const value = (Math.random() + Math.random() + Math.random() + Math.random() - 2) * spread
      if (bytes === 4) pool.writeFloatLE(value, at)
      else pool.writeUInt16LE(bytes === 2 ? toHalf(value) : toBfloat(value), at)
    }
  }
}

function fillMxfp4(pool, std) {
  randomFillSync(pool)
  const exponent = Math.round(Math.log2(std / 2.9)) + 127
  for (let at = 0; at < pool.length; at += 17) pool[at] = exponent
}

const scratch = new DataView(new ArrayBuffer(4))

function toBfloat(value) {
  scratch.setFloat32(0, value)
  return (scratch.getUint32(0) + 0x8000) >>> 16
}

// Rounds to nearest; subnormals kept, no infinities (scales here are small).
function toHalf(value) {
  const sign = value < 0 ? 0x8000 : 0
  const size = Math.abs(value)
  if (size < 2 ** -14) return sign | Math.round(size * 2 ** 24)
  const exponent = Math.floor(Math.log2(size))
  return sign | Math.min(0x7bff, ((exponent + 15) << 10) + Math.round((size / 2 ** exponent - 1) * 1024))
}
