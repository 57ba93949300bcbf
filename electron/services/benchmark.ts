// Speed of one model, with llama-bench's tests and fields: pp N is the time to process N
// prompt tokens, tg N the time to generate N tokens one by one, both behind `depth` tokens
// that are not timed. Random tokens, one untimed warm-up of each test, speeds per repetition.
// Before the tests the machine is measured with the same threads: each speed is also told as a
// share of the limit that it runs against.
import { availableParallelism, cpus } from 'node:os'
import { WorkbenchError, type ModelCard } from '../contract'
import type { CacheFormat, Engine, EngineModel, EngineSession, LoadOptions, MeasuredPeaks, Sampling } from '../engine/types'

export interface BenchmarkRequest {
  path: string
  nPrompt: readonly number[]
  nGenerate: readonly number[]
  depths: readonly number[]
  repetitions: number
  cacheFormat: CacheFormat
  load: Omit<LoadOptions, 'overrides' | 'vocabularyOnly'>  // its signal ends the tests, too
  onRecord?: (record: BenchmarkRecord) => void
}

// The fields and meanings of llama-bench's JSON output; speeds in tokens per second.
export interface BenchmarkRecord {
  build_number: string
  cpu_info: string
  backends: string
  model_filename: string
  model_type: string
  model_size: number
  model_n_params: number
  n_threads: number
  type_k: string
  n_prompt: number
  n_gen: number
  n_depth: number
  test_time: string
  avg_ns: number
  stddev_ns: number
  avg_ts: number
  stddev_ts: number
  samples_ns: number[]
  samples_ts: number[]
  // The limit: decode reads memory, prompt processing computes. Measured, per second.
  limit: Limit['kind']
  limit_per_second: number
  limit_per_token: number  // bytes or operations that one token takes at least
  limit_percent: number
}

interface Limit { kind: 'read_bandwidth' | 'int8_peak' | 'f32_peak', perSecond: number, perToken: number }

interface Test { nPrompt: number, nGenerate: number, depth: number }

// The cache grows by the same number of bytes with each token.
const cacheSampleLength = 1024

const greedy: Sampling = { temperature: 0, samplingTopK: 0, topP: 1, minP: 0, repeatPenalty: 1, seed: 1 }

export async function runBenchmark(engine: Engine, request: BenchmarkRequest): Promise<BenchmarkRecord[]> {
  const { threads = 0, signal } = request.load
  const model = await engine.load(request.path, request.load)
  try {
    const peaks = await engine.calibrate({ threads, ...(signal && { signal }) })
    const records: BenchmarkRecord[] = []
    for (const test of testsOf(request)) {
      const samples = await measure(model, test, request)
      const limit = await limitOf(engine, model.card, request, test, peaks)
      const record = describe(engine, model, request, test, samples, limit)
      records.push(record)
      request.onRecord?.(record)
    }
    return records
  } finally {
    await model.close()
  }
}

function testsOf(request: BenchmarkRequest): Test[] {
  return request.depths.flatMap(depth => [
    ...request.nPrompt.filter(n => n > 0).map(nPrompt => ({ nPrompt, nGenerate: 0, depth })),
    ...request.nGenerate.filter(n => n > 0).map(nGenerate => ({ nPrompt: 0, nGenerate, depth })),
  ])
}

// Milliseconds of each repetition.
async function measure(model: EngineModel, test: Test, request: BenchmarkRequest): Promise<number[]> {
  // The last token drawn is never put into the cache: a test as long as the model's context fits.
  const needed = test.depth + test.nPrompt + test.nGenerate + 2
  const maxSeqLen = model.card.maxSeqLen > 0 ? Math.min(needed, model.card.maxSeqLen) : needed
  const session = model.createSession({ maxSeqLen, cacheFormat: request.cacheFormat })
  const { signal } = request.load
  try {
    const samples: number[] = []
    for (let i = 0; i <= request.repetitions; ++i) {
      const milliseconds = test.nGenerate > 0 ? await timeDecode(model, session, test, signal) : await timePrefill(model, session, test, signal)
      if (signal?.aborted) throw new WorkbenchError('E_CANCELLED', 'The benchmark was interrupted.')
      if (i > 0) samples.push(milliseconds)
    }
    return samples
  } finally {
    session.close()
  }
}

// The prompt's first token differs from every earlier one, so that nothing is reused.
let serial = 0
function randomTokens(model: EngineModel, n: number): Int32Array {
  serial = (serial + 1) % model.vocabSize
  return Int32Array.from({ length: n }, (_, i) => i === 0 ? serial : Math.floor(Math.random() * model.vocabSize))
}

async function timePrefill(model: EngineModel, session: EngineSession, test: Test, signal: AbortSignal | undefined): Promise<number> {
  const tokens = randomTokens(model, test.depth + test.nPrompt)
  const options = { onToken: () => undefined, ...(signal && { signal }) }
  if (test.depth > 0) await session.generate({ tokens: tokens.subarray(0, test.depth), maxTokens: 1, sampling: greedy, ignoreEndOfGeneration: true }, options)
  const result = await session.generate({ tokens, maxTokens: 1, sampling: greedy, ignoreEndOfGeneration: true }, options)
  return result.promptMs * test.nPrompt / (result.promptTokens - result.cachedTokens)
}

async function timeDecode(model: EngineModel, session: EngineSession, test: Test, signal: AbortSignal | undefined): Promise<number> {
  const tokens = randomTokens(model, Math.max(1, test.depth))
  const options = { onToken: () => undefined, ...(signal && { signal }) }
  // The first token comes out of the prompt; the following nGenerate are decode steps.
  const result = await session.generate({ tokens, maxTokens: test.nGenerate + 1, sampling: greedy, ignoreEndOfGeneration: true }, options)
  if (result.generatedTokens <= test.nGenerate && result.stopReason !== 'cancelled') {
    throw new WorkbenchError('E_CONTEXT_LENGTH', `${test.nGenerate} tokens behind ${tokens.length} do not fit this model's context of ${model.card.maxSeqLen}.`, { hint: 'Ask for fewer tokens.' })
  }
  return result.decodeMs
}

function describe(engine: Engine, model: EngineModel, request: BenchmarkRequest, test: Test, samples: readonly number[], limit: Limit): BenchmarkRecord {
  const info = engine.info()
  const samplesNs = samples.map(milliseconds => Math.round(milliseconds * 1e6))
  const samplesTs = samples.map(milliseconds => (test.nPrompt + test.nGenerate) / milliseconds * 1000)
  const formats = [...model.card.quantFormats].sort((a, b) => b.bytes - a.bytes)
  return {
    build_number: info.version,
    cpu_info: cpus()[0]?.model ?? '',
    backends: `cpu ${info.cpuLevel}`,
    model_filename: request.path,
    model_type: `${model.card.architecture} ${(model.card.parametersTotal / 1e9).toFixed(2)}B ${formats[0]?.format ?? ''}`,
    model_size: model.card.fileBytes,
    model_n_params: model.card.parametersTotal,
    n_threads: request.load.threads || info.threads || availableParallelism(),
    type_k: request.cacheFormat,
    n_prompt: test.nPrompt, n_gen: test.nGenerate, n_depth: test.depth,
    test_time: new Date().toISOString(),
    avg_ns: mean(samplesNs), stddev_ns: deviation(samplesNs), avg_ts: mean(samplesTs), stddev_ts: deviation(samplesTs),
    samples_ns: samplesNs, samples_ts: samplesTs,
    limit: limit.kind, limit_per_second: limit.perSecond, limit_per_token: limit.perToken,
    limit_percent: 100 * mean(samplesTs) * limit.perToken / limit.perSecond,
  }
}

// Decode reads the active weights and the cache so far; a prompt's token goes through the active
// weights but the head, which only the last one needs. Operations of attention are not counted.
async function limitOf(engine: Engine, card: ModelCard, request: BenchmarkRequest, test: Test, peaks: MeasuredPeaks): Promise<Limit> {
  if (test.nGenerate > 0) {
    const { cacheBytes, seqLen } = await engine.estimate(request.path, cacheSampleLength, request.cacheFormat)
    const meanSeqLen = Math.max(1, test.depth) + (test.nGenerate + 1) / 2
    return { kind: 'read_bandwidth', perSecond: peaks.readBytesPerSecond, perToken: card.bytesPerToken + meanSeqLen * cacheBytes / seqLen }
  }
  const perToken = 2 * Math.max(0, card.parametersActive - card.vocabSize * card.embeddingLength)
  if (request.load.exact || computesInFloat(card)) return { kind: 'f32_peak', perSecond: peaks.f32OperationsPerSecond, perToken }
  return { kind: 'int8_peak', perSecond: peaks.int8OperationsPerSecond, perToken }
}

// Int8 activations go with quantised weights only.
function computesInFloat({ quantFormats }: ModelCard): boolean {
  const bytes = (formats: ModelCard['quantFormats']): number => formats.reduce((sum, format) => sum + format.bytes, 0)
  return bytes(quantFormats.filter(({ format }) => ['F32', 'F16', 'BF16'].includes(format))) > bytes(quantFormats) / 2
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

// Of the sample (n - 1), as llama-bench; 0 for a single value.
export function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0
  const centre = mean(values)
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1))
}

// "62 % of 23.5 GB/s read"
export function limitText({ limit, limit_per_second: perSecond, limit_percent: percent }: BenchmarkRecord): string {
  const share = `${percent.toFixed(percent < 10 ? 1 : 0)} % of `
  if (limit === 'read_bandwidth') return `${share}${(perSecond / 1e9).toFixed(1)} GB/s read`
  return `${share}${(perSecond / 1e9).toFixed(0)} GOP/s ${limit === 'int8_peak' ? 'int8' : 'f32'}`
}

export function testName(record: BenchmarkRecord): string {
  const name = record.n_gen > 0 ? `tg${record.n_gen}` : `pp${record.n_prompt}`
  return record.n_depth > 0 ? `${name} @ d${record.n_depth}` : name
}
