// Scoring logits against a text: perplexity, and divergence from a base model, stored or live. The
// window rules and the file of base log-probabilities are those of llama.cpp's perplexity
// tool, so that numbers and files can be exchanged with it.
import { WorkbenchError } from '../contract'

// Chunks of maxSeqLen tokens; the second half of each is scored, so that every scored token
// has at least half a window of context.
export function firstScored(maxSeqLen: number): number {
  return Math.floor(maxSeqLen / 2)
}

export function scoredPerChunk(maxSeqLen: number): number {
  return maxSeqLen - 1 - firstScored(maxSeqLen)
}

export class RunningMean {
  private sum = 0
  private squares = 0
  count = 0

  add(value: number): void {
    this.sum += value
    this.squares += value * value
    this.count++
  }

  get mean(): number { return this.count > 0 ? this.sum / this.count : Number.NaN }

  // Standard error of the mean.
  get error(): number {
    const variance = this.squares / this.count - this.mean ** 2
    return this.count > 1 && variance > 0 ? Math.sqrt(variance / (this.count - 1)) : 0
  }
}

// ln of the sum of exponentials of a row.
export function logSumExp(row: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY
  for (const value of row) if (value > largest) largest = value
  let sum = 0
  for (const value of row) sum += Math.exp(value - largest)
  return largest + Math.log(sum)
}

export function negativeLogLikelihood(row: Float32Array, token: number): number {
  return logSumExp(row) - (row[token] ?? Number.NEGATIVE_INFINITY)
}

// Layout, little-endian: "_logits_", i32 maxSeqLen, i32 vocabSize, i32 nChunks, i32 tokens[nChunks·maxSeqLen],
// then per chunk and scored position: f32 scale, f32 smallest log-probability, u16 q[vocabSize] padded to even;
// log-probability = scale·q + smallest, cut off 16 below the largest logit.
export const baseFileMagic = '_logits_'

export interface BaseFileHeader { maxSeqLen: number, vocabSize: number, nChunks: number, tokens: Int32Array }

export function baseRowWords(vocabSize: number): number {
  return 2 * Math.floor((vocabSize + 1) / 2) + 4
}

export function encodeBaseHeader(header: BaseFileHeader): Uint8Array {
  const bytes = new Uint8Array(20 + header.tokens.length * 4)
  const view = new DataView(bytes.buffer)
  bytes.set(new TextEncoder().encode(baseFileMagic))
  ;[header.maxSeqLen, header.vocabSize, header.nChunks].forEach((value, i) => view.setInt32(8 + 4 * i, value, true))
  header.tokens.forEach((token, i) => view.setInt32(20 + 4 * i, token, true))
  return bytes
}

export const baseHeaderFixedBytes = 20

// The fixed part of the header, checked; tokens follow it in the file.
export function decodeBaseHeader(bytes: Uint8Array, fileBytes: number): Omit<BaseFileHeader, 'tokens'> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < baseHeaderFixedBytes || new TextDecoder('latin1').decode(bytes.subarray(0, 8)) !== baseFileMagic) {
    throw new WorkbenchError('E_BAD_REQUEST', 'This is no file of base log-probabilities: it does not start with "_logits_".', { hint: 'Write one with: moebius perplexity MODEL -f TEXT --save-logits FILE' })
  }
  const [maxSeqLen = 0, vocabSize = 0, nChunks = 0] = [8, 12, 16].map(at => view.getInt32(at, true))
  const expected = baseHeaderFixedBytes + nChunks * maxSeqLen * 4 + nChunks * scoredPerChunk(maxSeqLen) * baseRowWords(vocabSize) * 2
  if (maxSeqLen < 4 || vocabSize < 1 || nChunks < 1 || expected !== fileBytes) {
    throw new WorkbenchError('E_BAD_REQUEST', `The file of base log-probabilities is damaged: ${nChunks} chunks of ${maxSeqLen} tokens and ${vocabSize} words need ${expected} bytes, it has ${fileBytes}.`)
  }
  return { maxSeqLen, vocabSize, nChunks }
}

// One scored position as stored; words is what baseRowWords says.
export function encodeBaseRow(row: Float32Array, words: Uint16Array): void {
  let largest = row[0] ?? 0
  let smallest = row[0] ?? 0
  for (const value of row) {
    if (value > largest) largest = value
    if (value < smallest) smallest = value
  }
  smallest = Math.max(smallest, Math.fround(largest - 16))
  const scale = Math.fround((largest - smallest) / 65535)
  const head = new DataView(words.buffer, words.byteOffset, 8)
  head.setFloat32(0, scale, true)
  head.setFloat32(4, smallest - logSumExp(row), true)
  const inverse = scale > 0 ? Math.fround(1 / scale) : 0
  words.fill(0, 4)
  row.forEach((value, i) => { if (value > smallest) words[4 + i] = Math.min(65535, roundToEven(inverse * (value - smallest))) })
}

// The log-probabilities of a stored position.
export function decodeBaseRow(words: Uint16Array, logs: Float64Array): void {
  const head = new DataView(words.buffer, words.byteOffset, 8)
  const scale = head.getFloat32(0, true)
  const smallest = head.getFloat32(4, true)
  for (let i = 0; i < logs.length; i++) logs[i] = scale * (words[4 + i] ?? 0) + smallest
}

// Below it a stored log-probability is no more than the end of the file's range.
export const storedFloor = -16

export function logProbabilities(row: Float32Array, logs: Float64Array): void {
  const norm = logSumExp(row)
  for (let i = 0; i < logs.length; i++) logs[i] = (row[i] ?? Number.NEGATIVE_INFINITY) - norm
}

function roundToEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

export interface DivergenceSummary {
  count: number
  perplexity: number
  basePerplexity: number
  logRatio: { mean: number, error: number }     // ln PPL(model) - ln PPL(base)
  correlation: number                           // of ln probabilities, model against base
  divergence: { mean: number, error: number, median: number, p90: number, p99: number, p999: number, maximum: number, minimum: number }
  probabilityChange: { mean: number, error: number, rms: number, largest: number }   // of the text's token
  sameTop: { share: number, error: number }
}

// Kullback-Leibler divergence of a model from its base, position by position: exactly 0 for equal logits.
export class Divergence {
  private readonly values: number[] = []
  private readonly model = new RunningMean()
  private readonly base = new RunningMean()
  private readonly ratio = new RunningMean()
  private readonly change = new RunningMean()
  private readonly kld = new RunningMean()
  private products = 0
  private modelSquares = 0
  private baseSquares = 0
  private changeSquares = 0
  private largestChange = 0
  private sameTop = 0

  // base: log-probabilities; those not above the floor do not count.
  add(row: Float32Array, base: Float64Array, token: number, floor = Number.NEGATIVE_INFINITY): void {
    const norm = logSumExp(row)
    const compared = compareRows(row, norm, base, floor)
    this.values.push(compared.divergence)
    this.kld.add(compared.divergence)
    if (compared.sameTop) this.sameTop++
    const nll = norm - (row[token] ?? Number.NEGATIVE_INFINITY)
    const baseNll = -(base[token] ?? Number.NEGATIVE_INFINITY)
    this.model.add(nll)
    this.base.add(baseNll)
    this.ratio.add(nll - baseNll)
    this.products += nll * baseNll
    this.modelSquares += nll * nll
    this.baseSquares += baseNll * baseNll
    const change = Math.exp(-nll) - Math.exp(-baseNll)
    this.change.add(change)
    this.changeSquares += change * change
    this.largestChange = Math.max(this.largestChange, Math.abs(change))
  }

  summary(): DivergenceSummary {
    const n = this.values.length
    const sorted = [...this.values].sort((a, b) => a - b)
    const share = this.sameTop / n
    const covariance = this.products / n - this.model.mean * this.base.mean
    const deviations = Math.sqrt((this.modelSquares / n - this.model.mean ** 2) * (this.baseSquares / n - this.base.mean ** 2))
    return {
      count: n,
      perplexity: Math.exp(this.model.mean), basePerplexity: Math.exp(this.base.mean),
      logRatio: { mean: this.ratio.mean, error: this.ratio.error },
      correlation: deviations > 0 ? covariance / deviations : 1,
      divergence: {
        mean: this.kld.mean, error: this.kld.error, median: quantile(sorted, 0.5), p90: quantile(sorted, 0.9), p99: quantile(sorted, 0.99), p999: quantile(sorted, 0.999),
        maximum: sorted[n - 1] ?? Number.NaN, minimum: sorted[0] ?? Number.NaN,
      },
      probabilityChange: { mean: this.change.mean, error: this.change.error, rms: Math.sqrt(this.changeSquares / n), largest: this.largestChange },
      sameTop: { share, error: n > 1 ? Math.sqrt(share * (1 - share) / (n - 1)) : 0 },
    }
  }
}

function compareRows(row: Float32Array, norm: number, base: Float64Array, floor: number): { divergence: number, sameTop: boolean } {
  let divergence = 0
  let top = 0
  let baseTop = 0
  for (let i = 0; i < row.length; i++) {
    const logBase = base[i] ?? Number.NEGATIVE_INFINITY
    if ((row[i] ?? 0) > (row[top] ?? 0)) top = i
    if (logBase > (base[baseTop] ?? 0)) baseTop = i
    if (logBase > floor) divergence += Math.exp(logBase) * (logBase - ((row[i] ?? 0) - norm))
  }
  return { divergence, sameTop: top === baseTop }
}

// Linear between the two nearest ranks.
function quantile(sorted: readonly number[], q: number): number {
  const at = q * (sorted.length - 1)
  const low = sorted[Math.floor(at)] ?? Number.NaN
  const high = sorted[Math.ceil(at)] ?? low
  return low + (high - low) * (at - Math.floor(at))
}
