// Takes the pictures of the documentation from the real window:
//   node test/e2e/screenshot.mjs [folder]      (build first: npm run build:app)
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { chromium } from 'playwright-core'

const root = resolve(import.meta.dirname, '../..')
const folder = resolve(process.argv[2] ?? join(root, 'resources/screenshots'))
const executablePath = process.env.CHROMIUM_PATH ?? ['/usr/bin/chromium', '/usr/bin/google-chrome'].find(existsSync)
const home = mkdtempSync(join(tmpdir(), 'moebius-screenshot-'))

const serve = spawn(process.execPath, [join(root, 'out/main/serve.js'), '--data-dir', join(home, 'data')], { env: { ...process.env, HOME: home }, stdio: ['ignore', 'pipe', 'inherit'] })
const address = await new Promise(found => {
  let output = ''
  serve.stdout.on('data', chunk => {
    output += chunk
    const match = /ready at (\S+)/.exec(output)
    if (match) found(match[1])
  })
})
const browser = await chromium.launch({ executablePath, args: ['--headless', '--disable-gpu', ...process.getuid?.() === 0 ? ['--no-sandbox'] : []] })
const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', locale: 'en' })
await page.goto(address)
const message = page.getByRole('textbox', { name: 'Message' })
await message.waitFor()

// Greedy, so that the picture is the same each time.
await page.getByRole('button', { name: 'Sampling and system prompt' }).click()
await page.getByRole('spinbutton', { name: 'Temperature' }).fill('0')
await page.keyboard.press('Tab')
await page.waitForTimeout(400)
await page.keyboard.press('Escape')

const ask = async (text, answers) => {
  await message.fill(text)
  await page.keyboard.press('Enter')
  await page.locator('article.answer:not([aria-busy="true"]) .summary').nth(answers - 1).waitFor()
}
await ask('What is 12 * 3?', 1)
await page.locator('article.answer .trigger').first().click()
await ask('Can you tell me a story?', 2)
await message.fill('')
await page.mouse.move(700, 560)
await page.waitForTimeout(700)
await page.screenshot({ path: join(folder, 'chat.png') })

await browser.close()
serve.kill('SIGTERM')
await new Promise(ended => { serve.once('exit', ended) })
rmSync(home, { recursive: true, force: true })
