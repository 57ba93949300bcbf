// Speed of one model, with llama-bench's tests and fields: pp N is the time to process N
// prompt tokens, tg N the time to generate N tokens one by one, both behind `depth` tokens
// that are not timed; tg NxM is the time of N steps in which M sessions get a token each.
// Random tokens, one untimed warm-up of each test, speeds per repetition. What is compared
// (sessions against one, routing trace on against off) takes turns in every repetition.
// Before the tests the machine is measured with the same threads: each speed is also told as a
// share of the limit that it runs against, and the model uses the thresholds found.
import { availableParallelism, cpus } from 'node:os'
import { WorkbenchError, type ModelCard, type StreamedExperts } from '../contract'
import type { CacheFormat, Engine, EngineModel, LoadOptions, MeasuredPeaks } from '../engine/types'
import { BenchmarkRunner, type BenchmarkTest } from './benchmark-runner'
import { addExperts, noExperts } from './expert-memory'
import { deviation, mean, medianInterval } from './statistics'

export interface BenchmarkRequest {
  path: string
  nPrompt: readonly number[]
  nGenerate: readonly number[]
  depths: readonly number[]
  repetitions: number
  sessions?: readonly number[]  // tg tests also with so many sessions in one batch
  trace?: boolean          // each test also without the routing trace, to tell what that costs
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
  prompt_attention: 'f32' | 'bf16'  // bf16 is approximate
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
  // Streamed experts, over the timed repetitions; 0 with mapped weights.
  expert_memory: number
  expert_slots: number     // of each layer
  expert_hits: number
  expert_misses: number
  expert_bytes_read: number
  expert_read_ms: number   // while anything was being read
  expert_wait_ms: number   // of those, with nothing left to compute
  n_sessions: number       // that decode together; t/s are those of all
  // Of M sessions: how many times the speed of one, measured in turn. Median, and the 95 %
  // interval of the median.
  times_one_session?: number
  times_one_session_low?: number
  times_one_session_high?: number
  // What the routing trace costs, in percent of the time without it; likewise.
  trace_cost_percent?: number
  trace_cost_percent_low?: number
  trace_cost_percent_high?: number
  untraced_ts?: number
  samples_untraced_ts?: number[]
}

interface Limit { kind: 'read_bandwidth' | 'int8_peak' | 'f32_peak', perSecond: number, perToken: number }

// One way to run a test; the variants of a group take turns.
interface Variant { nSessions: number, traced: boolean }
interface Measured { samples: number[], experts: StreamedExperts }
interface Group { test: BenchmarkTest, variants: Variant[] }

// The cache grows by the same number of bytes with each token.
const cacheSampleLength = 1024
const plain: Variant = { nSessions: 1, traced: true }

export async function runBenchmark(engine: Engine, request: BenchmarkRequest): Promise<BenchmarkRecord[]> {
  const { threads = 0, signal } = request.load
  const peaks = await engine.calibrate({ threads, ...(signal && { signal }) })
  const model = await engine.load(request.path, { ...(peaks.thresholds && { thresholds: peaks.thresholds }), ...request.load })
  try {
    if (request.trace && !model.moe) throw new WorkbenchError('E_UNSUPPORTED', 'The model is dense: it has no routing to trace.')
    const records: BenchmarkRecord[] = []
    for (const group of groupsOf(request)) {
      const measured = await measure(model, group, request)
      for (const record of await recordsOf(engine, model, request, group, measured, peaks)) {
        records.push(record)
        request.onRecord?.(record)
      }
    }
    return records
  } finally {
    await model.close()
  }
}

function groupsOf({ nPrompt, nGenerate, depths, sessions = [], trace = false }: BenchmarkRequest): Group[] {
  const variants = trace ? [{ ...plain, traced: false }, plain] : [plain]
  const together = sessions.filter(n => n > 1).map(nSessions => ({ ...plain, nSessions }))
  return depths.flatMap(depth => [
    ...nPrompt.filter(n => n > 0).map(n => ({ test: { nPrompt: n, nGenerate: 0, depth }, variants })),
    ...nGenerate.filter(n => n > 0).map(n => ({ test: { nPrompt: 0, nGenerate: n, depth }, variants: [...variants, ...together] })),
  ])
}

// Milliseconds of each repetition and what was read for all, variant by variant.
async function measure(model: EngineModel, { test, variants }: Group, request: BenchmarkRequest): Promise<Measured[]> {
  const { signal } = request.load
  const runner = new BenchmarkRunner(model, test, {
    cacheFormat: request.cacheFormat, nSessions: Math.max(...variants.map(({ nSessions }) => nSessions)), repeatPrompts: variants.length > 1, ...(signal && { signal }),
  })
  const measured: Measured[] = variants.map(() => ({ samples: [], experts: noExperts }))
  try {
    for (let i = 0; i <= request.repetitions; ++i) {
      for (const [at, { nSessions, traced }] of inTurn(variants, i)) {
        if (request.trace) runner.watchRouting(traced)
        const before = model.streamedExperts() ?? noExperts
        const milliseconds = test.nGenerate > 0 ? await runner.decode(nSessions) : await runner.prefill()
        if (signal?.aborted) throw new WorkbenchError('E_CANCELLED', 'The benchmark was interrupted.')
        const of = measured[at]
        if (i === 0 || of === undefined) continue
        of.samples.push(milliseconds)
        of.experts = addExperts(of.experts, before, model.streamedExperts() ?? noExperts)
      }
    }
    return measured
  } finally {
    runner.close()
  }
}

// Forwards and backwards in turn, so that none always follows the same other.
function inTurn(variants: readonly Variant[], round: number): [number, Variant][] {
  const order = [...variants.entries()]
  return round % 2 ? order.reverse() : order
}

async function recordsOf(
  engine: Engine, model: EngineModel, request: BenchmarkRequest, { test, variants }: Group, measured: readonly Measured[], peaks: MeasuredPeaks,
): Promise<BenchmarkRecord[]> {
  const speeds = measured.map(({ samples }, at) => samples.map(milliseconds => (test.nPrompt + test.nGenerate * (variants[at]?.nSessions ?? 1)) / milliseconds * 1000))
  const [first = []] = speeds
  const records: BenchmarkRecord[] = []
  for (const [at, { nSessions, traced }] of variants.entries()) {
    if (!traced) continue
    const limit = await limitOf(engine, model.card, request, test, nSessions, peaks)
    const record = describe(engine, model, request, test, nSessions, measured[at], limit)
    if (nSessions > 1) addSpeedup(record, first)
    else if (at > 0) addTraceCost(record, first)
    records.push(record)
  }
  return records
}

function addSpeedup(record: BenchmarkRecord, ofOne: readonly number[]): void {
  const { median, low, high } = medianInterval(record.samples_ts.map((speed, i) => speed / (ofOne[i] ?? Number.NaN)))
  Object.assign(record, { times_one_session: median, times_one_session_low: low, times_one_session_high: high } satisfies Partial<BenchmarkRecord>)
}

function addTraceCost(record: BenchmarkRecord, untraced: readonly number[]): void {
  const { median, low, high } = medianInterval(untraced.map((speed, i) => 100 * (speed / (record.samples_ts[i] ?? Number.NaN) - 1)))
  Object.assign(record, {
    trace_cost_percent: median, trace_cost_percent_low: low, trace_cost_percent_high: high,
    untraced_ts: mean(untraced), samples_untraced_ts: [...untraced],
  } satisfies Partial<BenchmarkRecord>)
}

function describe(
  engine: Engine, model: EngineModel, request: BenchmarkRequest, test: BenchmarkTest, nSessions: number, { samples, experts }: Measured = { samples: [], experts: noExperts }, limit: Limit,
): BenchmarkRecord {
  const info = engine.info()
  const samplesNs = samples.map(milliseconds => Math.round(milliseconds * 1e6))
  const samplesTs = samples.map(milliseconds => (test.nPrompt + test.nGenerate * nSessions) / milliseconds * 1000)
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
    type_k: request.cacheFormat, prompt_attention: request.load.bf16Attention === true ? 'bf16' : 'f32',
    n_prompt: test.nPrompt, n_gen: test.nGenerate, n_depth: test.depth,
    test_time: new Date().toISOString(),
    avg_ns: mean(samplesNs), stddev_ns: deviation(samplesNs), avg_ts: mean(samplesTs), stddev_ts: deviation(samplesTs),
    samples_ns: samplesNs, samples_ts: samplesTs,
    limit: limit.kind, limit_per_second: limit.perSecond, limit_per_token: limit.perToken,
    limit_percent: 100 * mean(samplesTs) * limit.perToken / limit.perSecond,
    n_sessions: nSessions,
    expert_memory: experts.memoryBytes, expert_slots: experts.slotsPerLayer, expert_hits: experts.hits, expert_misses: experts.misses,
    expert_bytes_read: experts.bytesRead, expert_read_ms: experts.readMs, expert_wait_ms: experts.waitMs,
  }
}

// Decode reads the active weights and the cache so far; a prompt's token goes through the active
// weights but the head, which only the last one needs. Operations of attention are not counted.
async function limitOf(engine: Engine, card: ModelCard, request: BenchmarkRequest, test: BenchmarkTest, nSessions: number, peaks: MeasuredPeaks): Promise<Limit> {
  if (test.nGenerate > 0) {
    const { cacheBytes, seqLen } = await engine.estimate(request.path, cacheSampleLength, request.cacheFormat)
    const meanSeqLen = Math.max(1, test.depth) + (test.nGenerate + 1) / 2
    return { kind: 'read_bandwidth', perSecond: peaks.readBytesPerSecond, perToken: stepBytes(card, nSessions) / nSessions + meanSeqLen * cacheBytes / seqLen }
  }
  const perToken = 2 * Math.max(0, card.parametersActive - card.vocabSize * card.embeddingLength)
  if (request.load.exact || computesInFloat(card)) return { kind: 'f32_peak', perSecond: peaks.f32OperationsPerSecond, perToken }
  return { kind: 'int8_peak', perSecond: peaks.int8OperationsPerSecond, perToken }
}

// Weights that one step of n sessions reads. Everything but the experts is read once for all;
// of the experts as many as n random choices of k from E hit.
function stepBytes({ bytesPerToken, tensorClassBytes: { experts }, nRoutedExperts, nActiveExperts }: ModelCard, n: number): number {
  if (nRoutedExperts === 0) return bytesPerToken
  const share = nActiveExperts / nRoutedExperts
  return bytesPerToken + experts * (1 - (1 - share) ** n - share)
}

// Int8 activations go with quantised weights only.
function computesInFloat({ quantFormats }: ModelCard): boolean {
  const bytes = (formats: ModelCard['quantFormats']): number => formats.reduce((sum, format) => sum + format.bytes, 0)
  return bytes(quantFormats.filter(({ format }) => ['F32', 'F16', 'BF16'].includes(format))) > bytes(quantFormats) / 2
}

// "62 % of 23.5 GB/s read"
export function limitText({ limit, limit_per_second: perSecond, limit_percent: percent }: BenchmarkRecord): string {
  const share = `${percent.toFixed(percent < 10 ? 1 : 0)} % of `
  if (limit === 'read_bandwidth') return `${share}${(perSecond / 1e9).toFixed(1)} GB/s read`
  return `${share}${(perSecond / 1e9).toFixed(0)} GOP/s ${limit === 'int8_peak' ? 'int8' : 'f32'}`
}

// "3.10x one session (2.95 … 3.20)", "trace costs 0.4 % (-0.2 … 0.9)"; '' where nothing is compared.
export function comparisonText(record: BenchmarkRecord): string {
  const { times_one_session: times, trace_cost_percent: cost } = record
  if (times !== undefined) return `${times.toFixed(2)}x one session (${record.times_one_session_low?.toFixed(2)} … ${record.times_one_session_high?.toFixed(2)})`
  if (cost !== undefined) return `trace costs ${cost.toFixed(1)} % (${record.trace_cost_percent_low?.toFixed(1)} … ${record.trace_cost_percent_high?.toFixed(1)})`
  return ''
}

export function testName(record: BenchmarkRecord): string {
  const together = record.n_sessions > 1 ? `x${record.n_sessions}` : ''
  const arithmetic = record.prompt_attention === 'bf16' ? ' bf16' : ''
  const name = record.n_gen > 0 ? `tg${record.n_gen}${together}` : `pp${record.n_prompt}${arithmetic}`
  return record.n_depth > 0 ? `${name} @ d${record.n_depth}` : name
}
