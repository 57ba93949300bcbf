// What the browser tests need: Chromium, a running `serve`, and pages that report every
// breach of the content policy, every error and every request to another machine.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'

export const root = resolve(import.meta.dirname, '../..')
const chromiumPath = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(path => path !== undefined && existsSync(path))

// Why the tests cannot run here; undefined when they can.
export const missing = chromiumPath === undefined ? 'no Chromium was found: set CHROMIUM_PATH'
  : !existsSync(join(root, 'out/main/serve.js')) || !existsSync(join(root, 'out/renderer/index.html')) ? 'the workbench is not built: npm run build:app' : undefined
if (missing) console.warn(`skipped: the window in a browser (${missing})`)

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath ?? '',
    args: ['--headless', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', ...process.getuid?.() === 0 ? ['--no-sandbox'] : []],
  })
}

export interface Serve { address: string, pid: number, end: () => Promise<void>, log: () => string }

export async function startServe(dataDir: string, options: { home: string, args?: string[] }): Promise<Serve> {
  const child: ChildProcess = spawn(process.execPath, [join(root, 'out/main/serve.js'), '--data-dir', dataDir, ...options.args ?? []], { env: { ...process.env, HOME: options.home }, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const address = await new Promise<string>((found, failed) => {
    const read = (chunk: Buffer): void => {
      output += chunk.toString()
      const match = /ready at (\S+)/.exec(output)
      if (match?.[1]) found(match[1])
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.on('exit', code => failed(new Error(`serve ended with ${String(code)}:\n${output}`)))
  })
  return {
    address, pid: child.pid ?? 0, log: () => output,
    async end() {
      if (child.exitCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

export interface WatchedPage { page: Page, problems: string[], close: () => Promise<void> }

export async function openPage(browser: Browser, address: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en', colorScheme: 'light', ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(10_000)
  const problems: string[] = []
  page.on('pageerror', error => problems.push(`page error: ${error.message}`))
  page.on('console', entry => { if (entry.type() === 'error' || entry.type() === 'warning') problems.push(`${entry.type()}: ${entry.text()}`) })
  page.on('request', request => {
    const { protocol, hostname } = new URL(request.url())
    if (!['data:', 'blob:', 'about:'].includes(protocol) && hostname !== '127.0.0.1' && hostname !== 'localhost') problems.push(`request to ${request.url()}`)
  })
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', event => { console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`) })
  })
  await page.goto(address)
  return { page, problems, close: () => context.close() }
}

const axe = readFileSync(join(root, 'node_modules/axe-core/axe.min.js'), 'utf8')

// Violations in words; the evaluated script runs beside the page's policy.
export function accessibilityViolations(page: Page): Promise<string[]> {
  return page.evaluate(`${axe}; axe.run(document, { resultTypes: ['violations'] }).then(result => result.violations.map(violation =>
    violation.id + ': ' + violation.nodes.slice(0, 4).map(node => node.target.join(' ')).join(' ;; ')))`)
}

// A text message of the engine's answers ends with its figures.
export async function answerShown(page: Page, count: number): Promise<void> {
  await page.locator('article.answer:not([aria-busy="true"]) .summary').nth(count - 1).waitFor()
}
