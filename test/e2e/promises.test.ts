// What the product promises about itself: it talks to nobody, starts at once the second time,
// and rests when nothing happens.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import OpenAI from 'openai'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answerShown, launchBrowser, missing, openPage, root, startServe } from './browser'

const home = mkdtempSync(join(tmpdir(), 'moebius-promises-'))
const networkLog = join(home, 'network.log')
const watched = {
  NODE_OPTIONS: `--import=${pathToFileURL(join(root, 'test/tools/loopback-only.mjs')).href}`,
  MOEBIUS_NETWORK_LOG: networkLog,
}
const addon = join(root, 'native/build/Release/native.node')

afterAll(() => rmSync(home, { recursive: true, force: true }))

describe('privacy', () => {
  it('has no socket functions in the addon', () => {
    const { status, stdout } = spawnSync('nm', ['-D', '--undefined-only', addon], { encoding: 'utf8' })
    expect(status).toBe(0)
    expect(stdout).toMatch(/mmap/)
    expect(stdout).not.toMatch(/\b(socket|connect|sendto|sendmsg|getaddrinfo|gethostbyname\w*)(@|$)/m)
  })

  it('refuses and records a socket that would leave this machine, when there is one', () => {
    const { status, stderr } = spawnSync(process.execPath, ['-e', 'fetch("http://192.0.2.1/").catch(error => { console.error(error.cause?.message); process.exit(3) })'], { encoding: 'utf8', env: { ...process.env, ...watched } })
    expect(status).toBe(3)
    expect(stderr).toMatch(/192\.0\.2\.1 would leave this machine/)
    expect(readFileSync(networkLog, 'utf8')).toMatch(/connect 192\.0\.2\.1/)
    rmSync(networkLog)
  })
})

describe.skipIf(missing !== undefined)('a session of work', () => {
  let browser: Browser
  beforeAll(async () => { browser = await launchBrowser() })
  afterAll(async () => { await browser?.close() })

  it('opens no connection that leaves the loopback', async () => {
    Object.assign(process.env, watched)
    const serve = await startServe(join(home, 'data'), { home, args: ['--models-dir', join(root, 'test/fixtures/models'), '--rest'] })
    for (const name of Object.keys(watched)) Reflect.deleteProperty(process.env, name)
    try {
      const { page, problems } = await openPage(browser, serve.address)
      await page.getByRole('textbox', { name: 'Message' }).fill('Once upon a time')
      await page.keyboard.press('Enter')
      await answerShown(page, 1)
      await page.getByRole('link', { name: 'Server' }).first().click()
      const address = await page.getByText(/http:\/\/127\.0\.0\.1:\d+\/v1/).first().innerText()
      const client = new OpenAI({ baseURL: /http:\/\/127\.0\.0\.1:\d+\/v1/.exec(address)![0], apiKey: 'any' })
      const models = await client.models.list()
      expect(models.data.length).toBeGreaterThan(10)
      const answer = await client.chat.completions.create({ model: 'moebius-demo-6m', messages: [{ role: 'user', content: 'What is 2 + 2?' }], max_tokens: 20, temperature: 0 })
      expect(answer.usage?.completion_tokens).toBeGreaterThan(0)
      expect(problems).toEqual([])
    } finally {
      await serve.end()
    }
    expect(existsSync(networkLog) ? readFileSync(networkLog, 'utf8') : '').toBe('')
  })

  it('uses less than 2 % of a core when nothing happens', async () => {
    const serve = await startServe(join(home, 'idle'), { home })
    try {
      const { page } = await openPage(browser, serve.address)
      await page.getByRole('textbox', { name: 'Message' }).waitFor()
      await page.waitForTimeout(2000)
      const session = await page.context().newCDPSession(page)
      await session.send('Performance.enable')
      const busy = async (): Promise<number> => (await session.send('Performance.getMetrics')).metrics.find(metric => metric.name === 'TaskDuration')?.value ?? Number.NaN
      const before = await busy()
      await page.waitForTimeout(5000)
      expect((await busy() - before) / 5).toBeLessThan(0.02)
    } finally {
      await serve.end()
    }
  })

  it('is ready within 3 seconds when started again', async () => {
    const started = performance.now()
    const child = spawn(process.execPath, [join(root, 'electron/dev/start.mjs'), '--headless', '--data-dir', join(home, 'again')], { env: { ...process.env, HOME: home }, stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', chunk => { output += String(chunk) })
    try {
      await expect.poll(() => output, { interval: 20, timeout: 20_000 }).toMatch(/ready at http/)
      const page = (await openPage(browser, /ready at (\S+)/.exec(output)![1]!)).page
      await page.getByRole('textbox', { name: 'Message' }).waitFor()
      expect(performance.now() - started).toBeLessThan(3000)
    } finally {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  })
})
