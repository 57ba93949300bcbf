// What peer.mjs makes of its arguments and of the benches' outputs. No process is started here.
import { parseArgs } from 'node:util'

const text = (short, otherwise) => ({ type: 'string', default: otherwise, ...(short && { short }) })
const options = {
  'peer': { type: 'string', multiple: true }, 'peer-args': { type: 'string', multiple: true },
  'prompt': text('p', '512'), 'generate': text('n', '32'), 'depth': text('d', '0'), 'threads': text('t', '2'), 'rounds': text('r', '5'), 'warm-up': text('', '1'),
}

// The command line of peer.mjs. Throws what is wrong with it.
export function readArguments(argv) {
  const { values, positionals: [model], tokens } = parseArgs({ args: joinPeerArgs(argv), allowPositionals: true, tokens: true, options })
  const peers = readPeers(tokens)
  if (!model || peers.length === 0) throw new Error('MODEL and --peer are needed')
  const { prompt, generate, depth, threads } = values
  const [nRounds, nWarmUp] = [Number(values.rounds), Number(values['warm-up'])]
  if (!(nRounds >= 1 && nWarmUp >= 0)) throw new Error('--rounds takes 1 or more, --warm-up 0 or more')
  return { model, peers, lengths: { prompt, generate, depth, threads }, nRounds, nWarmUp }
}

// A value that begins with a dash would be taken for an option.
function joinPeerArgs(argv) {
  const joined = []
  for (const word of argv) {
    if (joined.at(-1) === '--peer-args') joined[joined.length - 1] += `=${word}`
    else joined.push(word)
  }
  return joined
}

// Every `--peer [NAME=]PATH` with the `--peer-args` that follow it.
function readPeers(tokens) {
  const peers = []
  for (const { kind, name, value } of tokens) {
    if (kind !== 'option') continue
    if (name === 'peer') {
      const named = /^([\w. -]+)=(.+)$/.exec(value)
      peers.push({ name: named?.[1] ?? `peer ${peers.length + 1}`, path: named?.[2] ?? value, args: [] })
    } else if (name === 'peer-args') {
      const peer = peers.at(-1)
      if (!peer) throw new Error('--peer-args belongs behind its --peer')
      peer.args.push(...splitWords(value))
    }
  }
  const twice = peers.find(({ name }, i) => peers.some((other, j) => j < i && other.name === name))
  if (twice) throw new Error(`two peers are called ${twice.name}`)
  return peers
}

// Words between blanks; quotes keep blanks together.
export function splitWords(text) {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, bare]) => double ?? single ?? bare)
}

// The arguments of a llama-bench for these lists. One that knows no depth (its help names -gp
// instead) generates behind a prompt; prompts behind a depth are left out there.
export function peerCommand({ path, args }, model, { prompt, generate, depth, threads }, help) {
  const common = ['-m', model, '-t', threads, '-r', '1', '-o', 'json', ...args]
  if (/--n-depth\b/.test(help)) return [path, ...common, '-p', prompt, '-n', generate, '-d', depth]
  const depths = numbers(depth)
  const behind = depths.filter(d => d > 0).flatMap(d => numbers(generate).filter(n => n > 0).flatMap(n => ['-gp', `${d},${n}`]))
  const atStart = depths.includes(0) ? ['-p', prompt, '-n', generate] : ['-p', '0', '-n', '0']
  return [path, ...common, ...atStart, ...behind]
}

function numbers(list) { return list.split(',').map(Number) }

// Speeds by test name from a bench's JSON output, whatever it wrote around it.
export function speedsOf(output) {
  const start = output.search(/^\s*\[/m)
  const end = output.lastIndexOf(']')
  if (start < 0 || end < start) throw new Error(`no JSON list in the output:\n${output.slice(0, 2000)}`)
  return new Map(JSON.parse(output.slice(start, end + 1)).map(record => [testName(record), record.avg_ts]))
}

// "pp512", "tg32 @ d2048". Forks without depth say "tg32@pp2048" in their `test`.
export function testName({ n_prompt: nPrompt = 0, n_gen: nGenerate = 0, n_depth: nDepth = 0 }) {
  if (nPrompt > 0 && nGenerate > 0) return `tg${nGenerate} @ d${nPrompt}`
  return `${nGenerate > 0 ? `tg${nGenerate}` : `pp${nPrompt}`}${nDepth > 0 ? ` @ d${nDepth}` : ''}`
}

// Peers before and behind ours (A, ours, B, …), every other round backwards.
export function orderOf(peers, round) {
  const order = [...peers.slice(0, 1), 'ours', ...peers.slice(1)]
  return round % 2 ? order.reverse() : order
}

export function median(list) {
  const sorted = [...list].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

// One table for each peer. rounds: a Map from each name ('ours' is us) to its speeds by test.
export function tables(peers, rounds) {
  return peers.map(({ name }) => {
    const rows = [...rounds[0].get('ours').keys()].map(test => row(test, name, rounds))
    return [`| test | Moebius t/s | ${name} t/s | ratio (median) | ratio min … max |`, '|---|---|---|---|---|', ...rows].join('\n')
  }).join('\n\n')
}

function row(test, name, rounds) {
  const ours = rounds.map(round => round.get('ours').get(test))
  const theirs = rounds.map(round => round.get(name).get(test))
  if (theirs.includes(undefined)) return `| ${test} | ${median(ours).toFixed(2)} | not measured | | |`
  const ratios = ours.map((speed, i) => speed / theirs[i])
  return `| ${test} | ${median(ours).toFixed(2)} | ${median(theirs).toFixed(2)} | ${median(ratios).toFixed(2)} | ${Math.min(...ratios).toFixed(2)} … ${Math.max(...ratios).toFixed(2)} |`
}
