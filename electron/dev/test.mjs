// `npm test`: everything a change has to pass, cheapest first. Prints one line a stage and
// ends with "N passed, N failed, N skipped". `npm test -- NAME …` runs only these stages.
import { mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { buildApp } from './build-app.mjs'
import { buildNative } from './build-native.mjs'
import { checkCompiler, ensureDependencies, ensureNode, has, main, root, say } from './toolchain.mjs'

const totals = { passed: 0, failed: 0, skipped: 0 }
const jobs = String(Math.min(availableParallelism(), 8))
const work = join(root, 'test/.tmp')

function count({ passed = 0, failed = 0, skipped = 0 }) {
  totals.passed += passed
  totals.failed += failed
  totals.skipped += skipped
}

// Runs a program, shows its output, returns its exit code and text.
function execute(command, args, env = {}) {
  return new Promise(resolve => {
    const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { output += chunk; process.stderr.write(chunk) })
    child.on('error', error => resolve({ code: 127, output: error.message }))
    child.on('exit', code => resolve({ code: code ?? 1, output }))
  })
}

// A check that is one verdict: a linter, a compiler.
async function verdict(name, command, args) {
  const { code } = await execute(command, args)
  count(code === 0 ? { passed: 1 } : { failed: 1 })
  if (code !== 0) say(`FAILED ${name} (exit code ${code})`)
}

function nativeConfigure(build, options) {
  const launcher = has('ccache', '--version') ? ['-DCMAKE_CXX_COMPILER_LAUNCHER=ccache'] : []
  return ['-S', 'native', '-B', build, ...launcher, ...options]
}

// Runs a program of C++ tests; its last line has the counts.
async function countProgram(label, command, args, env = {}) {
  say(label)
  const { code, output } = await execute(command, args, env)
  const line = output.match(/(\d+) passed, (\d+) failed, (\d+) skipped\s*$/)
  const result = line ? { passed: Number(line[1]), failed: Number(line[2]), skipped: Number(line[3]) } : { failed: 1 }
  if (code !== 0 && !result.failed) result.failed = 1
  count(result)
}

// Builds the C++ tests one way and runs each layer's program.
async function nativeTests(name, options, layers) {
  const build = `native/build-${name}`
  const programs = layers.map(layer => `${layer}_tests`)
  const built = (await execute('cmake', nativeConfigure(build, ['-DMOEBIUS_TESTS=ON', ...options]))).code === 0
    && (await execute('cmake', ['--build', build, '--parallel', jobs, ...(programs.length > 0 ? ['--target', ...programs] : [])])).code === 0
  if (!built) return count({ failed: 1 })
  const found = programs.length > 0 ? programs : readdirSync(join(root, build, 'test')).filter(file => /_tests(\.exe)?$/.test(file))
  for (const program of found) await countProgram(`${name}: ${program}`, join(root, build, 'test', program), [])
}

// What runs on which emulated processor: all of the kernels and two families of models where
// every level is, the choice of level and the products on processors that lack some.
const armRuns = [
  { cpu: 'max', levels: 'reference neon_base neon neon_i8mm', program: 'kernels_tests' },
  { cpu: 'max', program: 'engine_tests', filter: 'deepseek2_k_formats' },
  { cpu: 'max', program: 'engine_tests', filter: 'qwen3moe_small_block_formats' },
  { cpu: 'max', program: 'quant_tests' },
  { cpu: 'cortex-a76', levels: 'reference neon_base neon', program: 'kernels_tests', filter: 'levels_' },
  { cpu: 'cortex-a76', program: 'kernels_tests', filter: 'the_largest_codes' },
  { cpu: 'cortex-a72', levels: 'reference neon_base', program: 'kernels_tests', filter: 'levels_' },
  { cpu: 'cortex-a72', program: 'kernels_tests', filter: 'the_largest_codes' },
]

// The ARM levels, cross-compiled and emulated. On an ARM machine the stage native has them.
async function arm() {
  const missing = [['aarch64-linux-gnu-g++', 'g++-aarch64-linux-gnu'], ['qemu-aarch64', 'qemu-user']].filter(([tool]) => !has(tool, '--version'))
  if (missing.length > 0) {
    say(`skipped: the ARM kernels need a cross compiler and qemu (Debian: apt install ${missing.map(([, name]) => name).join(' ')})`)
    return count({ skipped: 1 })
  }
  const build = 'native/build-arm'
  const programs = [...new Set(armRuns.map(({ program }) => program))]
  const built = (await execute('cmake', nativeConfigure(build, ['-DMOEBIUS_TESTS=ON', '-DCMAKE_TOOLCHAIN_FILE=cmake/aarch64-linux.cmake']))).code === 0
    && (await execute('cmake', ['--build', build, '--parallel', jobs, '--target', ...programs])).code === 0
  if (!built) return count({ failed: 1 })
  const waiting = [...armRuns]
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { cpu, levels, program, filter = '' } = next
      const args = ['-cpu', cpu, '-L', '/usr/aarch64-linux-gnu', join(root, build, 'test', program), ...(filter ? [filter] : [])]
      await countProgram(`arm: ${program} ${filter} on ${cpu}`, 'qemu-aarch64', args, levels ? { MOEBIUS_EXPECTED_LEVELS: levels } : {})
    }
  }
  await Promise.all(Array.from({ length: Math.min(Number(jobs), 4) }, worker))
}

// Instructions per weight of the main kernels, against the stored counts.
async function instructions(node) {
  const { code, output } = await execute(node, ['test/bench/instructions.mjs'])
  const line = output.match(/^(\d+) passed, (\d+) failed, (\d+) skipped$/m)
  count(line ? { passed: Number(line[1]), failed: Number(line[2]), skipped: Number(line[3]) } : { failed: 1 })
  if (code !== 0) say(`FAILED instructions (exit code ${code})`)
}

async function vitest(node, project) {
  mkdirSync(work, { recursive: true })
  const report = join(work, `vitest-${project}.json`)
  const { code } = await execute(node, ['node_modules/vitest/vitest.mjs', 'run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`], { FORCE_COLOR: '0' })
  const result = JSON.parse(readFileSync(report, 'utf8'))
  const failed = result.numFailedTests + (result.numFailedTests === 0 && code !== 0 ? 1 : 0)
  count({ passed: result.numPassedTests, failed, skipped: result.numPendingTests + result.numTodoTests })
}

// The sanitizer build; with clang it holds the fuzz targets, too.
function sanitizeOptions() {
  const fuzzing = has('clang++', '--version') ? ['-DMOEBIUS_FUZZ=ON', '-DCMAKE_CXX_COMPILER=clang++'] : []
  return ['-DMOEBIUS_SANITIZE=ON', '-DCMAKE_BUILD_TYPE=Sanitize', ...fuzzing]
}

// Each fuzz target for a few seconds from its corpus; a finding ends with a non-zero code.
async function fuzz() {
  if (!has('clang++', '--version')) {
    say('skipped: fuzzing needs clang (Debian: apt install clang)')
    return count({ skipped: 1 })
  }
  const build = 'native/build-sanitize'
  const built = (await execute('cmake', nativeConfigure(build, ['-DMOEBIUS_TESTS=ON', ...sanitizeOptions()]))).code === 0
    && (await execute('cmake', ['--build', build, '--parallel', jobs])).code === 0
  if (!built) return count({ failed: 1 })
  const targets = readdirSync(join(root, build, 'test')).filter(file => /_fuzz(\.exe)?$/.test(file))
  for (const target of targets) {
    const fresh = join(work, `fuzz-${target}`)
    const corpus = join(root, target.startsWith('gguf') ? 'test/fixtures/gguf-corpus' : `test/fixtures/fuzz/${target}`)
    mkdirSync(fresh, { recursive: true })
    mkdirSync(corpus, { recursive: true })
    await verdict(target, join(root, build, 'test', target), ['-max_total_time=30', '-rss_limit_mb=2048', '-timeout=10', '-print_final_stats=0', '-verbosity=0', `-artifact_prefix=${work}/`, fresh, corpus])
  }
}

await main(async () => {
  await ensureDependencies()
  const node = await ensureNode()
  checkCompiler()
  const tool = (path, ...args) => [node, [path, ...args]]
  const stages = {
    lint: () => verdict('lint', ...tool('node_modules/eslint/bin/eslint.js', '.', '--max-warnings', '0')),
    types: () => verdict('types', ...tool('electron/dev/typecheck.mjs')),
    layers: () => verdict('layers', ...tool('node_modules/dependency-cruiser/bin/dependency-cruise.mjs', '--config', '.dependency-cruiser.cjs', 'electron', 'renderer')),
    native: () => nativeTests('tests', [], []),
    arm,
    instructions: () => instructions(node),
    sanitize: () => nativeTests('sanitize', sanitizeOptions(), ['base', 'quant', 'formats', 'tokenizer', 'sampling', 'kernels']),
    unit: async () => {
      await buildNative()
      await buildApp()
      await vitest(node, 'node')
      await vitest(node, 'renderer')
    },
    e2e: async () => {
      await buildNative()
      await buildApp()
      await vitest(node, 'e2e')
    },
    fuzz,
  }
  const wanted = process.argv.slice(2)
  const unknown = wanted.filter(name => !(name in stages))
  if (unknown.length > 0) throw new Error(`no such stage: ${unknown.join(', ')}; there are ${Object.keys(stages).join(', ')}`)
  for (const [name, stage] of Object.entries(stages)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue
    const started = Date.now()
    say(`\n== ${name}`)
    await stage()
    say(`== ${name}: ${((Date.now() - started) / 1000).toFixed(0)} s`)
  }
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`)
  process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0
})
