// npm run bench:peer -- MODEL --peer PATH/TO/llama-bench [-p 512] [-n 32] [-d 0] [-t 2] [-r 5] [--peer-args "…"]
// The same file, threads and lengths through our engine and through a llama-bench, in turn in
// one run, so that the ratio holds when the machine's speed drifts. Prints medians, the ratio
// pair by pair and its spread.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const here = dirname(fileURLToPath(import.meta.url))
const ours = join(here, '../../electron/dev/moebius.mjs')
const { values, positionals: [model] } = parseArgs({
  allowPositionals: true,
  options: {
    peer: { type: 'string' }, 'peer-args': { type: 'string', default: '' },
    prompt: { type: 'string', short: 'p', default: '512' }, generate: { type: 'string', short: 'n', default: '32' }, depth: { type: 'string', short: 'd', default: '0' },
    threads: { type: 'string', short: 't', default: '2' }, rounds: { type: 'string', short: 'r', default: '5' },
  },
})
if (!model || !values.peer) {
  console.error('usage: npm run bench:peer -- MODEL --peer LLAMA_BENCH [-p LIST] [-n LIST] [-d LIST] [-t THREADS] [-r ROUNDS] [--peer-args "…"]')
  process.exit(2)
}

const lengths = ['-p', values.prompt, '-n', values.generate, '-d', values.depth, '-t', values.threads, '-r', '1', '-o', 'json']

function measure(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stderr.slice(-2000)}`)
  return new Map(JSON.parse(stdout).map(record => [nameOf(record), record.avg_ts]))
}

function nameOf({ n_prompt, n_gen, n_depth }) {
  return `${n_gen > 0 ? `tg${n_gen}` : `pp${n_prompt}`}${n_depth > 0 ? ` @ d${n_depth}` : ''}`
}

function median(list) {
  const sorted = [...list].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const rounds = []
for (let i = 0; i < Number(values.rounds); ++i) {
  const a = measure(process.execPath, [ours, 'bench', model, ...lengths])
  const b = measure(values.peer, ['-m', model, ...lengths, ...values['peer-args'].split(' ').filter(Boolean)])
  rounds.push({ a, b })
  console.error(`round ${i + 1}: ${[...a].map(([name, ts]) => `${name} ${ts.toFixed(1)} / ${b.get(name)?.toFixed(1)}`).join(', ')}`)
}
console.log('| test | Moebius t/s | peer t/s | ratio (median) | ratio min … max |\n|---|---|---|---|---|')
for (const name of rounds[0].a.keys()) {
  const a = rounds.map(round => round.a.get(name))
  const b = rounds.map(round => round.b.get(name))
  const ratios = a.map((value, i) => value / b[i])
  console.log(`| ${name} | ${median(a).toFixed(2)} | ${median(b).toFixed(2)} | ${median(ratios).toFixed(2)} | ${Math.min(...ratios).toFixed(2)} … ${Math.max(...ratios).toFixed(2)} |`)
}
