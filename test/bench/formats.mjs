// npm run bench:formats -- --shape v2-lite [--layers 9] --formats Q2_K,IQ3_XXS,… [-p 512] [-n 32] [-t 2] [-r 3] [--base Q4_K] [--folder DIR] [--cli FILE]
// Writes a synthetic model in each quant_format, one at a time, and measures it in turn with
// the same shape in the base format, so that the ratio holds when the machine's speed drifts.
// --layers writes a part of the shape: the same kernels, less disk. --cli runs a built cli.js
// instead of the checkout's own program (MOEBIUS_ADDON then says which engine).
// Prints medians, the ratio of prompt processing, and the share of the limits that
// `moebius calibrate` has measured: int8 operations for the prompt, bytes read for decode.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { formats as known } from './synthetic-formats.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: 'v2-lite' }, layers: { type: 'string' }, formats: { type: 'string' }, base: { type: 'string', default: 'Q4_K' },
    prompt: { type: 'string', short: 'p', default: '512' }, generate: { type: 'string', short: 'n', default: '32' },
    threads: { type: 'string', short: 't', default: '2' }, rounds: { type: 'string', short: 'r', default: '3' },
    folder: { type: 'string', default: tmpdir() }, cli: { type: 'string', default: join(here, '../../electron/dev/moebius.mjs') },
  },
})
const wanted = values.formats?.split(',') ?? []
const unknown = [values.base, ...wanted].filter(name => !known[name])
if (wanted.length === 0 || unknown.length > 0) {
  console.error(`usage: npm run bench:formats -- --shape v2-lite --formats LIST [--layers N] [-p N] [-n N] [-t THREADS] [-r ROUNDS] [--base FORMAT] [--folder DIR] [--cli FILE]
LIST: some of ${Object.keys(known).join(',')}${unknown.length > 0 ? `; not ${unknown.join(', ')}` : ''}`)
  process.exit(2)
}

function runNode(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}:\n${stderr.slice(-2000)}`)
  return stdout
}

function write(format, folder) {
  const path = join(folder, `${values.shape}.${format}.gguf`)
  runNode(join(here, 'make-model.mjs'), '--shape', values.shape, '--format', format, '--out', path, ...(values.layers ? ['--layers', values.layers] : []))
  return path
}

// { prompt, decode }: tokens per second and percent of the limit.
function measure(path) {
  const records = JSON.parse(runNode(values.cli, 'bench', path, '-p', values.prompt, '-n', values.generate, '-t', values.threads, '-r', '1', '-o', 'json'))
  const find = generates => {
    const { avg_ts: speed, limit_percent: percent } = records.find(record => record.n_gen > 0 === generates)
    return { speed, percent }
  }
  return { prompt: find(false), decode: find(true) }
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function row(name, rounds, ratios) {
  const of = (test, field) => median(rounds.map(round => round[test][field]))
  const range = ratios ? `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} … ${Math.max(...ratios).toFixed(2)})` : '1'
  return `| ${name} | ${of('prompt', 'speed').toFixed(1)} | ${range} | ${of('prompt', 'percent').toFixed(0)} | ${of('decode', 'speed').toFixed(1)} | ${of('decode', 'percent').toFixed(0)} |`
}

const folder = mkdtempSync(join(values.folder, 'moebius-formats-'))
try {
  const base = write(values.base, folder)
  const baseRounds = []
  const rows = []
  for (const format of wanted) {
    const path = write(format, folder)
    const pairs = []
    for (let i = 0; i < Number(values.rounds); ++i) pairs.push([measure(base), measure(path)])
    rmSync(path)
    baseRounds.push(...pairs.map(([before]) => before))
    rows.push(row(format, pairs.map(([, own]) => own), pairs.map(([before, own]) => own.prompt.speed / before.prompt.speed)))
    console.error(rows.at(-1))
  }
  const part = values.layers ? `, ${values.layers} layers` : ''
  console.log(`${values.shape}${part}, ${values.threads} threads\n| format | pp${values.prompt} t/s | of ${values.base} | % of int8 peak | tg${values.generate} t/s | % of bandwidth |\n|---|---|---|---|---|---|`)
  console.log([row(values.base, baseRounds), ...rows].join('\n'))
} finally {
  rmSync(folder, { recursive: true })
}
