// The host dies while a chat streams: the window lives, says why, and goes on.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { launchBrowser, missing, openPage, startServe, type Serve } from './browser'

// The process that holds the addon is the one child of `serve` that maps it.
function hostProcess(): number {
  const holder = readdirSync('/proc').filter(name => /^\d+$/.test(name)).find(pid => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('host-child') && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`MOEBIUS_TEST=${marker}`)
    } catch {
      return false
    }
  })
  return Number(holder)
}

const marker = `crash-${process.pid}`

describe.skipIf(missing !== undefined || process.platform !== 'linux')('a host that is killed while it answers', () => {
  let browser: Browser
  let serve: Serve
  const home = mkdtempSync(join(tmpdir(), 'moebius-crash-'))

  beforeAll(async () => {
    process.env.MOEBIUS_TEST = marker
    browser = await launchBrowser()
    serve = await startServe(join(home, 'data'), { home })
  })
  afterAll(async () => {
    await browser?.close()
    await serve?.end()
    delete process.env.MOEBIUS_TEST
    rmSync(home, { recursive: true, force: true })
  })

  it('leaves the window, the conversation and the next message intact', async () => {
    const { page } = await openPage(browser, serve.address)
    const message = page.getByRole('textbox', { name: 'Message' })
    await message.fill('Tell me a long story about a bear.')
    await page.keyboard.press('Enter')
    await expect.poll(async () => (await page.locator('article.answer').first().locator('.answer-text').innerText()).length, { interval: 20, timeout: 20_000 }).toBeGreaterThan(10)
    const pid = hostProcess()
    expect(pid).toBeGreaterThan(1)
    process.kill(pid, 'SIGKILL')

    await page.getByText(/killed from outside/).first().waitFor()
    await expect.poll(() => hostProcess(), { timeout: 15_000 }).not.toBe(pid)
    expect(await page.getByText('Tell me a long story about a bear.').count()).toBeGreaterThan(0)
    const kept = await page.locator('article.answer').first().locator('.answer-text').innerText()
    expect(kept.length).toBeGreaterThan(10)

    await message.fill('What is 2 + 3?')
    await expect.poll(async () => {
      await message.press('Enter')
      return page.locator('article.answer').count()
    }, { timeout: 20_000 }).toBe(2)
    // The interrupted answer has no figures; the second one has.
    await page.locator('article.answer').nth(1).locator('.summary').waitFor({ timeout: 30_000 })
  })
})
