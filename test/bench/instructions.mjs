// npm run bench:instructions [-- --update] [-- --build DIR]
// A performance gate that is the same on every machine: instructions per weight or multiply-add
// of each main kernel (level avx2), counted by callgrind and compared with instructions.json.
// Fails outside ±3 %, in both directions: a faster kernel is recorded with --update. Ends with
// "N passed, N failed, N skipped".
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { has, main, root, run, say, StepFailed } from '../../electron/dev/toolchain.mjs'

const { values: { update, build } } = parseArgs({ options: { update: { type: 'boolean', default: false }, build: { type: 'string', default: 'native/build-tests' } } })
const storedFile = join(root, 'test/bench/instructions.json')
const tolerance = 0.03
const cannotCount = 77

function finish(passed, failed, skipped) {
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`)
  process.exitCode = failed > 0 ? 1 : 0
}

function skip(reason) {
  say(`skipped: ${reason}`)
  finish(0, 0, 1)
}

async function buildProgram() {
  const folder = resolve(root, build)
  const launcher = has('ccache', '--version') ? ['-DCMAKE_CXX_COMPILER_LAUNCHER=ccache'] : []
  await run('cmake', ['-S', 'native', '-B', folder, ...launcher, '-DMOEBIUS_TESTS=ON'], { quiet: true })
  await run('cmake', ['--build', folder, '--parallel', '2', '--target', 'kernels_instructions'], { quiet: true })
  return join(folder, 'instructions/kernels_instructions')
}

// Runs the program under callgrind. Each case has a dump of its own, named after it.
function countInstructions(program) {
  mkdirSync(join(root, 'test/.tmp'), { recursive: true })
  const folder = mkdtempSync(join(root, 'test/.tmp/instructions-'))
  try {
    const { status, stdout, stderr } = spawnSync('valgrind',
      ['--tool=callgrind', '--collect-atstart=no', `--callgrind-out-file=${join(folder, 'dump')}`, program], { encoding: 'utf8', timeout: 120_000 })
    if (status === cannotCount) return { reason: stderr.split('\n').filter(line => !line.startsWith('==')).join(' ').trim() }
    if (status !== 0) throw new StepFailed(`valgrind ended with ${status}:\n${stderr.slice(-3000)}`)
    const compiler = /^compiler\|(.*)$/m.exec(stdout)?.[1] ?? 'unknown'
    const cases = new Map(stdout.split('\n').map(line => line.split('|')).filter(words => words.length === 3).map(([name, unit, n]) => [name, { unit, nUnits: Number(n) }]))
    for (const file of readdirSync(folder)) {
      const text = readFileSync(join(folder, file), 'utf8')
      const name = /^desc: Trigger: Client Request: ([^|\n]*)/m.exec(text)?.[1]
      const total = /^(?:summary|totals): (\d+)$/m.exec(text)?.[1]
      const found = cases.get(name)
      if (found && total) found.perUnit = Number(total) / found.nUnits
    }
    const missing = [...cases].filter(([, { perUnit }]) => !(perUnit > 0)).map(([name]) => name)
    if (cases.size === 0 || missing.length > 0) throw new StepFailed(`callgrind counted nothing for: ${missing.join(', ') || 'every case'}`)
    return { compiler, cases }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function readStored() {
  return existsSync(storedFile) ? JSON.parse(readFileSync(storedFile, 'utf8')) : {}
}

function store(compiler, cases) {
  const values = Object.fromEntries([...cases].map(([name, { perUnit }]) => [name, Number(perUnit.toPrecision(5))]))
  const all = { ...readStored(), [compiler]: values }
  writeFileSync(storedFile, `${JSON.stringify(Object.fromEntries(Object.entries(all).sort()), undefined, 2)}\n`)
}

// One row a case; a case on one side only is a change as well.
function compare(cases, stored) {
  return [...new Set([...cases.keys(), ...Object.keys(stored)])].map(name => {
    const { perUnit, unit = '' } = cases.get(name) ?? {}
    const before = stored[name]
    const change = perUnit !== undefined && before !== undefined ? perUnit / before - 1 : undefined
    const verdict = change === undefined ? (before === undefined ? 'NEW' : 'GONE') : change > tolerance ? 'SLOWER' : change < -tolerance ? 'FASTER' : 'ok'
    return { name, unit, before, perUnit, change, verdict }
  })
}

function table(rows) {
  const number = value => value === undefined ? '-' : value.toFixed(4)
  const cells = rows.map(({ name, unit, before, perUnit, change, verdict }) =>
    [name, unit, number(before), number(perUnit), change === undefined ? '-' : `${change < 0 ? '' : '+'}${(100 * change).toFixed(1)} %`, verdict])
  const all = [['kernel (avx2)', 'instructions per', 'stored', 'now', 'change', ''], ...cells]
  const widths = all[0].map((_, column) => Math.max(...all.map(row => row[column].length)))
  return all.map(row => row.map((cell, i) => i > 1 && i < 5 ? cell.padStart(widths[i]) : cell.padEnd(widths[i])).join('  ').trimEnd()).join('\n')
}

await main(async () => {
  if (!has('valgrind', '--version')) return skip('counting instructions needs valgrind (Debian: apt install valgrind)')
  if (process.arch !== 'x64') return skip('the stored counts are of the level avx2: x86-64 only')
  const { compiler, cases, reason } = countInstructions(await buildProgram())
  if (cases === undefined) return skip(reason)
  const stored = readStored()[compiler]
  if (update) {
    say(table(compare(cases, stored ?? {})))
    store(compiler, cases)
    say(`Stored ${cases.size} counts of ${compiler} in ${storedFile}.`)
    return finish(cases.size, 0, 0)
  }
  if (stored === undefined) return skip(`there are no stored counts for ${compiler}; npm run bench:instructions -- --update adds them`)
  const rows = compare(cases, stored)
  const failed = rows.filter(({ verdict }) => verdict !== 'ok').length
  say(table(rows))
  if (failed > 0) say('A kernel changed by more than 3 %. If that is meant, record it: npm run bench:instructions -- --update')
  finish(rows.length - failed, failed, 0)
})
