import { describe, expect, it } from 'vitest'
import {
  baseRowWords, decodeBaseHeader, decodeBaseRow, Divergence, encodeBaseHeader, encodeBaseRow, firstScored, logProbabilities, negativeLogLikelihood, RunningMean, scoredPerChunk, storedFloor,
} from '../../electron/services/perplexity'

describe('scoring', () => {
  it('scores the second half of a window', () => {
    expect([firstScored(512), scoredPerChunk(512)]).toEqual([256, 255])
    expect([firstScored(7), scoredPerChunk(7)]).toEqual([3, 3])
  })

  it('computes likelihoods without overflow', () => {
    expect(negativeLogLikelihood(Float32Array.of(0, 0, 0, 0), 2)).toBeCloseTo(Math.log(4), 12)
    expect(negativeLogLikelihood(Float32Array.of(1000, 999), 0)).toBeCloseTo(Math.log(1 + Math.exp(-1)), 12)
    expect(negativeLogLikelihood(Float32Array.of(-1e30, 0), 0)).toBeGreaterThan(1e29)
  })

  it('has the standard error of the mean', () => {
    const mean = new RunningMean()
    for (const value of [1, 2, 3, 4]) mean.add(value)
    expect(mean.mean).toBe(2.5)
    expect(mean.error).toBeCloseTo(Math.sqrt(1.25 / 3), 12)
  })
})

describe('base file', () => {
  it('has the documented header', () => {
    const bytes = encodeBaseHeader({ maxSeqLen: 4, vocabSize: 3, nChunks: 1, tokens: Int32Array.of(1, 2, 0, 1) })
    expect(Buffer.from(bytes).toString('hex')).toBe(Buffer.from('_logits_').toString('hex') + '04000000' + '03000000' + '01000000' + '01000000' + '02000000' + '00000000' + '01000000')
    const size = bytes.length + scoredPerChunk(4) * baseRowWords(3) * 2
    expect(decodeBaseHeader(bytes, size)).toEqual({ maxSeqLen: 4, vocabSize: 3, nChunks: 1 })
    expect(() => decodeBaseHeader(bytes, size + 1)).toThrow('is damaged')
    expect(() => decodeBaseHeader(bytes.subarray(0, 10), 10)).toThrow('_logits_')
    expect(() => decodeBaseHeader(Buffer.from('GGUF0000000000000000'), 20)).toThrow('no file of base')
  })

  it('packs a row as scale, smallest value and 16-bit steps', () => {
    expect([baseRowWords(3), baseRowWords(4), baseRowWords(5)]).toEqual([8, 8, 10])
    const row = Float32Array.of(2, -1, 0.5)
    const words = new Uint16Array(baseRowWords(3))
    encodeBaseRow(row, words)
    const head = new DataView(words.buffer)
    const norm = Math.log(Math.exp(2) + Math.exp(-1) + Math.exp(0.5))
    expect(head.getFloat32(0, true)).toBeCloseTo(3 / 65535, 10)
    expect(head.getFloat32(4, true)).toBeCloseTo(-1 - norm, 6)
    expect([...words.subarray(4)]).toEqual([65535, 0, 32768, 0])
  })

  it('cuts off 16 below the largest and survives flat rows', () => {
    const words = new Uint16Array(baseRowWords(3))
    encodeBaseRow(Float32Array.of(0, -8, -100), words)
    expect([...words.subarray(4, 7)]).toEqual([65535, 32768, 0])
    encodeBaseRow(Float32Array.of(3, 3, 3), words)
    expect([...words.subarray(4, 7)]).toEqual([0, 0, 0])
    expect(new DataView(words.buffer).getFloat32(4, true)).toBeCloseTo(-Math.log(3), 6)
  })
})

describe('divergence', () => {
  const stored = (row: Float32Array): Float64Array => {
    const words = new Uint16Array(baseRowWords(row.length))
    encodeBaseRow(row, words)
    const logs = new Float64Array(row.length)
    decodeBaseRow(words, logs)
    return logs
  }
  const live = (row: Float32Array): Float64Array => {
    const logs = new Float64Array(row.length)
    logProbabilities(row, logs)
    return logs
  }
  const rows = [Float32Array.of(1, 2, 3, -4), Float32Array.of(0.1, 5, -2, 2), Float32Array.of(88, -103.5, 1e-9, Number.NEGATIVE_INFINITY)]

  it('is exactly zero against itself', () => {
    const divergence = new Divergence()
    rows.forEach((row, i) => divergence.add(row, live(row), i))
    expect(divergence.summary()).toMatchObject({
      divergence: { mean: 0, error: 0, maximum: 0, minimum: 0 }, logRatio: { mean: 0, error: 0 }, probabilityChange: { mean: 0, rms: 0, largest: 0 }, sameTop: { share: 1 },
    })
  })

  it('sees the smallest step of one logit', () => {
    const divergence = new Divergence()
    const [row] = rows as [Float32Array]
    divergence.add(Float32Array.of(1, 2, 3 + 2 ** -22, -4), live(row), 0)
    expect(divergence.summary().divergence.mean).not.toBe(0)
  })

  it('is infinite where the model excludes what the base allows', () => {
    const divergence = new Divergence()
    divergence.add(Float32Array.of(0, Number.NEGATIVE_INFINITY), live(Float32Array.of(0, 0)), 0)
    expect(divergence.summary().divergence.mean).toBe(Number.POSITIVE_INFINITY)
  })

  it('keeps to the rounding of the file against itself stored', () => {
    const divergence = new Divergence()
    rows.slice(0, 2).forEach((row, i) => divergence.add(row, stored(row), i, storedFloor))
    const summary = divergence.summary()
    expect(Math.abs(summary.divergence.mean)).toBeLessThan(9 / 65535)
    expect(summary.sameTop.share).toBe(1)
    expect(summary.perplexity).toBeCloseTo(summary.basePerplexity, 3)
    expect(summary.correlation).toBeCloseTo(1, 6)
  })

  it('equals the formula', () => {
    // Base 1/2, 1/4, 1/4; model 1/4, 1/2, 1/4: KLD = 1/2·ln 2 - 1/4·ln 2.
    const base = Float32Array.from([0.5, 0.25, 0.25], Math.log)
    const model = Float32Array.from([0.25, 0.5, 0.25], Math.log)
    const divergence = new Divergence()
    divergence.add(model, stored(base), 0, storedFloor)
    divergence.add(base, stored(base), 1, storedFloor)
    const summary = divergence.summary()
    expect(summary.divergence.maximum).toBeCloseTo(0.25 * Math.log(2), 4)
    expect(summary.divergence.mean).toBeCloseTo(0.125 * Math.log(2), 4)
    expect(summary.divergence.median).toBeCloseTo(0.125 * Math.log(2), 4)
    expect(summary.sameTop.share).toBe(0.5)
    expect(summary.perplexity).toBeCloseTo(4, 5)
    expect(summary.basePerplexity).toBeCloseTo(Math.sqrt(8), 4)
    expect(summary.logRatio.mean).toBeCloseTo(Math.log(2) / 2, 4)
    expect(summary.probabilityChange.largest).toBeCloseTo(0.25, 4)
    expect(summary.probabilityChange.mean).toBeCloseTo(-0.125, 4)
  })
})
