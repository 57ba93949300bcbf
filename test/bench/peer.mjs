// npm run bench:peer -- MODEL --peer [NAME=]LLAMA_BENCH [--peer-args "…"] [--peer …]
//   [-p 512] [-n 32] [-d 0] [-t 2] [-r 5] [--warm-up 1]
// The same file, threads and lengths through our engine and through one llama-bench or several
// (llama.cpp's, or a fork's with its own --peer-args), in turn in one run, so that the ratios
// hold when the machine's speed drifts. The first round is not counted. Prints the commands,
// medians, the ratio round by round and its spread.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { orderOf, peerCommand, readArguments, speedsOf, tables } from './peer-results.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const usage = 'usage: npm run bench:peer -- MODEL --peer [NAME=]LLAMA_BENCH [--peer-args "…"] [--peer …] [-p LIST] [-n LIST] [-d LIST] [-t THREADS] [-r ROUNDS] [--warm-up ROUNDS]'

function run([command, ...args]) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status ?? error?.message}:\n${(stderr ?? '').slice(-2000)}`)
  return speedsOf(stdout)
}

function helpOf({ path }) {
  const { stdout, stderr, error } = spawnSync(path, ['--help'], { encoding: 'utf8' })
  if (error) throw new Error(`${path} cannot be run: ${error.message}`)
  return stdout + stderr
}

function main() {
  const { model, peers, lengths, nRounds, nWarmUp } = readArguments(process.argv.slice(2))
  const { prompt, generate, depth, threads } = lengths
  const commands = new Map(peers.map(peer => [peer.name, peerCommand(peer, model, lengths, helpOf(peer))]))
  commands.set('ours', [process.execPath, join(here, '../../electron/dev/moebius.mjs'), 'bench', model, '-p', prompt, '-n', generate, '-d', depth, '-t', threads, '-r', '1', '-o', 'json'])
  const rounds = []
  for (let i = 0; i < nWarmUp + nRounds; ++i) {
    const speeds = new Map()
    for (const who of orderOf(peers, i)) {
      const name = who === 'ours' ? who : who.name
      speeds.set(name, run(commands.get(name)))
    }
    if (i >= nWarmUp) rounds.push(speeds)
    const line = [...speeds.get('ours').keys()].map(test => `${test} ${[...speeds].map(([name, of]) => `${name} ${of.get(test)?.toFixed(1) ?? '-'}`).join(', ')}`)
    console.error(`${i < nWarmUp ? 'warm-up' : `round ${i + 1 - nWarmUp}`}: ${line.join('; ')}`)
  }
  console.log(`${tables(peers, rounds)}\n\n${nRounds} rounds in turn, ${nWarmUp} before them not counted:`)
  for (const [name, command] of commands) console.log(`    ${name}: ${command.join(' ')}`)
}

try {
  main()
} catch (error) {
  console.error(error.message, `\n${usage}`)
  process.exitCode = 2
}
