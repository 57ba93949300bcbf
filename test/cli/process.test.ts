// The built command line as a program of its own: streams, exit codes, Ctrl-C.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findAddon } from '../../electron/engine/native-addon'

const program = resolve('out/main/cli.js')
const model = 'moebius-demo-6m'

interface Result { code: number | null, out: string, error: string }

describe.runIf(existsSync(program) && findAddon() !== undefined)('built command line', () => {
  let folder: string
  beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'moebius-cli-process-')) })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  function start(argv: readonly string[], options: { stdin?: string, onStart?: (child: ReturnType<typeof spawn>) => void } = {}): Promise<Result> {
    return new Promise(done => {
      const child = spawn(process.execPath, [program, ...argv], { env: { ...process.env, MOEBIUS_DATA_DIR: folder } })
      const result: Result = { code: null, out: '', error: '' }
      child.stdout.on('data', chunk => { result.out += String(chunk) })
      child.stderr.on('data', chunk => { result.error += String(chunk) })
      child.on('close', code => done({ ...result, code }))
      child.stdin.end(options.stdin ?? '')
      options.onStart?.(child)
    })
  }

  it('answers from standard input', async () => {
    const { code, out, error } = await start(['run', model, '-p', '-', '--temp', '0', '-n', '20'], { stdin: 'Tell me a story.' })
    expect([code, out.startsWith('Once upon a time'), error.includes('stopped by length')]).toEqual([0, true, true])
  })

  it('tells success, failure and wrong usage by exit code', async () => {
    expect((await start(['info', model, '--json'])).code).toBe(0)
    expect((await start(['info', 'nothing'])).code).toBe(1)
    expect((await start(['info'])).code).toBe(2)
    expect((await start(['serve', '--no-such-option'])).code).toBe(2)
    expect((await start(['serve', '--help'])).code).toBe(0)
  })

  it('stops at Ctrl-C with what it has', async () => {
    let tokens = ''
    const { code, out, error } = await start(['run', model, '--raw', '-p', 'Once', '--ignore-eos', '--threads', '1'], {
      onStart: child => child.stdout?.on('data', chunk => {
        if (tokens === '') child.kill('SIGINT')
        tokens += String(chunk)
      }),
    })
    expect(code).toBe(130)
    expect(out.length).toBeGreaterThan(1)
    expect(error).toContain('stopped by cancelled')
  })

  it('ends quietly when the reader of a pipe goes away', async () => {
    const { code, error } = await start(['tokenize', model, '--text-file', '-'], { stdin: 'word '.repeat(100_000), onStart: child => child.stdout?.once('data', () => child.stdout?.destroy()) })
    expect([code, error]).toEqual([0, ''])
  })
})
