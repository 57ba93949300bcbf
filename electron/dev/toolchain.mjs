// What start, test and the command line share: where things are, which Node runs the
// program, whether something must be built again. Node's own modules only: this file runs
// before any dependency is installed.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
export const cache = join(root, '.cache')
const nodeVersion = '24.21.0'

export class StepFailed extends Error {}

// One line per step, so that a first start shows where it is.
export function say(text) {
  process.stderr.write(`${text}\n`)
}

// Runs a program and shows its output; throws StepFailed with `advice` when it fails.
export function run(command, args, { advice = '', env = {}, quiet = false, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd, env: { ...process.env, ...env }, stdio: ['ignore', quiet ? 'pipe' : 2, quiet ? 'pipe' : 2],
      shell: process.platform === 'win32' && /\.cmd$/.test(command),
    })
    let output = ''
    child.stdout?.on('data', chunk => { output += chunk })
    child.stderr?.on('data', chunk => { output += chunk })
    child.on('error', error => reject(new StepFailed(`${command} could not be started: ${error.message}. ${advice}`)))
    child.on('exit', (code, signal) => code === 0
      ? resolve(output)
      : reject(new StepFailed(`${command} ${args.slice(0, 3).join(' ')} ended with ${signal ?? `code ${code}`}. ${advice}\n${output.slice(-4000)}`)))
  })
}

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

export async function ensureDependencies() {
  const lock = readFileSync(join(root, 'package-lock.json'))
  const stamp = createHash('sha256').update(lock).digest('hex')
  const stampFile = join(root, 'node_modules', '.moebius-stamp')
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return
  say('Installing dependencies (npm ci) …')
  await run(npm, ['ci', '--no-fund', '--no-audit', '--loglevel=error'], { advice: 'Check the network or your npm registry settings, then try again.' })
  writeFileSync(stampFile, stamp)
}

// The Node that runs the program: the current one from 24 on, else one fetched from the package registry.
export async function ensureNode() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const folder = join(cache, 'node24')
  const name = `node-${platform}-${process.arch}`
  const binary = join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (existsSync(binary)) return binary
  say(`Fetching Node ${nodeVersion} (this machine has ${process.versions.node}) …`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"private": true}')
  await run(npm, ['install', '--prefix', folder, '--no-fund', '--no-audit', '--loglevel=error', `${name}@${nodeVersion}`],
    { quiet: true, advice: 'Install Node 24 from nodejs.org, then try again.' })
  return binary
}

// A digest of names, sizes and times of every file below the given folders and files.
export function sourceDigest(paths, skip = /(^|[/\\])(build[^/\\]*|node_modules|out)$/) {
  const hash = createHash('sha256')
  const visit = path => {
    if (!existsSync(path)) return
    const info = statSync(path)
    if (info.isDirectory()) {
      for (const name of readdirSync(path).sort()) if (!skip.test(join(path, name))) visit(join(path, name))
    } else {
      hash.update(`${path}:${info.size}:${Math.floor(info.mtimeMs)}\n`)
    }
  }
  for (const path of paths) visit(join(root, path))
  return hash.digest('hex')
}

// Runs build() unless its inputs are as they were when `product` was last made.
export async function buildOnce(name, inputs, product, build) {
  mkdirSync(cache, { recursive: true })
  const stampFile = join(cache, `${name}.stamp`)
  const digest = sourceDigest(inputs)
  if (existsSync(join(root, product)) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === digest) return false
  await build()
  writeFileSync(stampFile, digest)
  return true
}

export function has(command, ...args) {
  return spawnSync(command, args, { stdio: 'ignore', shell: false }).status === 0
}

export function checkCompiler() {
  if (!has('cmake', '--version')) throw new StepFailed('CMake is missing. Install it (Debian: apt install cmake; macOS: brew install cmake; Windows: winget install cmake) and try again.')
  const compilers = process.platform === 'win32' ? [] : [process.env.CXX ?? 'c++', 'g++', 'clang++']
  if (compilers.length > 0 && !compilers.some(compiler => has(compiler, '--version'))) {
    throw new StepFailed('No C++ compiler was found. Install one (Debian: apt install g++; macOS: xcode-select --install) and try again.')
  }
  // CMake alone builds nothing, and a minimal system has neither.
  if (process.platform !== 'win32' && !has('make', '--version') && !has('ninja', '--version')) {
    throw new StepFailed('Neither make nor ninja was found. Install one (Debian: apt install make; macOS: xcode-select --install) and try again.')
  }
}

// A failed step is one readable message, not a stack.
export async function main(body) {
  try {
    await body()
  } catch (error) {
    say(error instanceof StepFailed ? error.message : error?.stack ?? String(error))
    process.exitCode = 1
  }
}
