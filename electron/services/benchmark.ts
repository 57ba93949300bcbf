// Speed of one model, with llama-bench's tests and fields: pp N is the time to process N
// prompt tokens, tg N the time to generate N tokens one by one, both behind `depth` tokens
// that are not timed. Random tokens, one untimed warm-up of each test, speeds per repetition.
import { availableParallelism, cpus } from 'node:os'
import type { CacheFormat, Engine, EngineModel, EngineSession, Sampling } from '../engine/types'

export interface BenchmarkRequest {
  path: string
  nPrompt: readonly number[]
  nGenerate: readonly number[]
  depths: readonly number[]
  repetitions: number
  threads: number          // 0: physical cores
  cacheFormat: CacheFormat
  exact: boolean
  signal?: AbortSignal
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
}

interface Test { nPrompt: number, nGenerate: number, depth: number }

const greedy: Sampling = { temperature: 0, samplingTopK: 0, topP: 1, minP: 0, repeatPenalty: 1, seed: 1 }

export async function runBenchmark(engine: Engine, request: BenchmarkRequest): Promise<BenchmarkRecord[]> {
  const model = await engine.load(request.path, { threads: request.threads, exact: request.exact, ...(request.signal && { signal: request.signal }) })
  try {
    const records: BenchmarkRecord[] = []
    for (const test of testsOf(request)) {
      const samples = await measure(model, test, request)
      const record = describe(engine, model, request, test, samples)
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
  const session = model.createSession({ maxSeqLen: test.depth + test.nPrompt + test.nGenerate + 2, cacheFormat: request.cacheFormat })
  try {
    const samples: number[] = []
    for (let i = 0; i <= request.repetitions; ++i) {
      const milliseconds = test.nGenerate > 0 ? await timeDecode(model, session, test, request.signal) : await timePrefill(model, session, test, request.signal)
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
  return result.decodeMs
}

function describe(engine: Engine, model: EngineModel, request: BenchmarkRequest, test: Test, samples: readonly number[]): BenchmarkRecord {
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
    n_threads: request.threads || info.threads || availableParallelism(),
    type_k: request.cacheFormat,
    n_prompt: test.nPrompt, n_gen: test.nGenerate, n_depth: test.depth,
    test_time: new Date().toISOString(),
    avg_ns: mean(samplesNs), stddev_ns: deviation(samplesNs), avg_ts: mean(samplesTs), stddev_ts: deviation(samplesTs),
    samples_ns: samplesNs, samples_ts: samplesTs,
  }
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

export function testName(record: BenchmarkRecord): string {
  const name = record.n_gen > 0 ? `tg${record.n_gen}` : `pp${record.n_prompt}`
  return record.n_depth > 0 ? `${name} @ d${record.n_depth}` : name
}
