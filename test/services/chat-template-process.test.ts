// Whatever happens to the process that renders templates, the host lives and the next render is served.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { afterEach, describe, expect, it } from 'vitest'
import { TemplateSandbox } from '../../electron/services/chat-template'

// A stand-in for the sandbox's program: runs the text it is given.
const runsAnything = `host.onMessage(({ id, script }) => {
  try { host.post({ id, text: String(new Function('require', script)(require)) }) }
  catch (error) { host.post({ id, failure: { kind: 'error', message: String(error.code ?? error) } }) }
})
host.post({ ready: true })`

let sandbox: TemplateSandbox
function start(program = runsAnything, heapMegabytes = 64): TemplateSandbox {
  return sandbox = new TemplateSandbox({ heapMegabytes }, program)
}
const run = (script: string): Promise<string> => sandbox.render({ script })
const alive = (pid: number): boolean => existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))

afterEach(() => sandbox.close())

describe('a sandbox that dies', () => {
  const failures: [string, string, RegExp][] = [
    ['a V8 heap that is full', 'const all = []; for (;;) all.push(new Array(100000).fill(0.5))', /more memory than its sandbox has/],
    ['one operation that overshoots the heap', 'return new Array(30000000).fill("x").map(x => x + x).length', /more memory than its sandbox has/],
    ['an abort', 'process.abort()', /more memory than its sandbox has/],
    ['a fault of memory', 'process.kill(process.pid, "SIGSEGV"); for (;;);', /its sandbox ended \(SIGSEGV\)/],
    ['an exit', 'process.exit(3)', /its sandbox ended \(code 3\)/],
  ]
  it.skipIf(process.platform === 'win32').each(failures)('%s fails one render only', async (_, script, message) => {
    start()
    await expect(run(script)).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringMatching(message) })
    expect(await run('return 1 + 1')).toBe('2')
  })

  it('renders again in a fresh process when an earlier render is to blame', async () => {
    start()
    expect(await run('globalThis.left = 1; return "first"')).toBe('first')
    const { pid } = sandbox
    await expect(run('process.exit(1)')).rejects.toMatchObject({ message: expect.stringMatching(/its sandbox ended/) })
    expect(await run('return typeof left')).toBe('undefined')
    expect(sandbox.pid).not.toBe(pid)
  })
})

describe('a sandbox', () => {
  it('may read, start and load nothing', async () => {
    start()
    for (const script of [
      'return require("node:fs").readFileSync("/etc/hostname", "utf8")', 'require("node:fs").writeFileSync("/tmp/escaped", "x")',
      'require("node:child_process").execSync("true")', 'new (require("node:worker_threads").Worker)("1", { eval: true })', 'process.dlopen({ exports: {} }, "/x.node")',
    ]) await expect(run(script), script).rejects.toMatchObject({ message: expect.stringMatching(/ERR_ACCESS_DENIED|ERR_DLOPEN_DISABLED/) })
    expect(await run('return Object.keys(process.env).join()')).toBe('')
  })

  it('stays warm between renders', async () => {
    start()
    await run('return 1')
    const { pid } = sandbox
    for (let i = 0; i < 20; i++) await run('return 1')
    expect(sandbox.pid).toBe(pid)
  })

  // The host ends without a word to it.
  it.skipIf(process.platform !== 'linux')('ends with its host', async () => {
    const vite = createRequire(import.meta.url).resolve('vite')
    const script = `const { createServer } = await import(${JSON.stringify(vite)})
      const server = await createServer({ configFile: false, root: process.cwd(), server: { middlewareMode: true, ws: false, hmr: false }, appType: 'custom', optimizeDeps: { noDiscovery: true }, logLevel: 'silent' })
      const { TemplateSandbox } = await server.ssrLoadModule('/electron/services/chat-template.ts')
      const sandbox = new TemplateSandbox({ heapMegabytes: 64 }, ${JSON.stringify(runsAnything)})
      await sandbox.render({ script: 'return 1' })
      process.stdout.write(sandbox.pid + '\\n')
      setInterval(() => {}, 1000)`
    const host = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const pid = Number(await new Promise<string>(resolve => host.stdout.once('data', (data: Buffer) => resolve(data.toString()))))
    expect(alive(pid)).toBe(true)
    host.kill('SIGKILL')
    await expect.poll(() => alive(pid), { timeout: 10_000 }).toBe(false)
  }, 30_000)
})
