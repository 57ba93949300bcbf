// The window a user sees, over the real host, engine and built-in model.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { accessibilityViolations, answerShown, launchBrowser, missing, openPage, root, startServe, type Serve, type WatchedPage } from './browser'

describe.skipIf(missing !== undefined)('the window', () => {
  let browser: Browser
  let serve: Serve
  let window: WatchedPage
  let page: Page
  const home = mkdtempSync(join(tmpdir(), 'moebius-window-'))
  const dataDir = join(home, 'data')

  beforeAll(async () => {
    mkdirSync(join(home, 'models'))
    copyFileSync(join(root, 'test/fixtures/models/deepseek2-v3.gguf'), join(home, 'models/deepseek2-v3.gguf'))
    writeFileSync(join(home, 'models/damaged.gguf'), 'GGUF but not really')
    browser = await launchBrowser()
    serve = await startServe(dataDir, { home })
    window = await openPage(browser, serve.address)
    page = window.page
  })
  afterEach(() => { expect(window.problems.splice(0)).toEqual([]) })
  afterAll(async () => {
    await browser?.close()
    await serve?.end()
    rmSync(home, { recursive: true, force: true })
  })

  const message = () => page.getByRole('textbox', { name: 'Message' })
  const answers = () => page.locator('article.answer')
  const answerText = async (index: number): Promise<string> => (await answers().nth(index).locator('.answer-text').innerText()).trim()

  async function newChat(): Promise<void> {
    await page.getByRole('button', { name: 'New chat' }).click()
    await page.waitForURL('**/#/chat/new')
  }
  // Hot and unfiltered, the model hardly ever ends by itself.
  async function newRamblingChat(): Promise<void> {
    await newChat()
    await page.getByRole('button', { name: 'Sampling and system prompt' }).click()
    for (const [name, value] of [['Temperature', '8'], ['Top-p', '1'], ['Min-p', '0'], ['Top-k', '0']] as const) {
      await page.getByRole('spinbutton', { name }).fill(value)
      await page.getByRole('spinbutton', { name }).press('Tab')
    }
    await page.keyboard.press('Escape')
  }
  async function command(text: string): Promise<void> {
    await page.keyboard.press('Control+k')
    await page.locator('.palette-input').fill(text)
    await page.locator('.palette-item').first().waitFor()
    await page.keyboard.press('Enter')
    await page.locator('.palette').waitFor({ state: 'detached' })
  }
  async function ask(text: string): Promise<void> {
    await message().fill(text)
    await page.keyboard.press('Enter')
  }

  it('opens with the token, which leaves the address at once', async () => {
    await page.getByRole('heading', { name: 'What shall we think about?' }).waitFor()
    expect(page.url()).not.toContain('token')
    expect(await page.evaluate(() => document.cookie)).toBe('')
  })

  it('answers with the built-in model and shows what the router chose', async () => {
    await ask('What is 12 * 3?')
    await answerShown(page, 1)
    expect(await answers().first().locator('.trigger').innerText()).toMatch(/^Thought/)
    await expect.poll(() => page.locator('aside.strip').innerText()).toMatch(/5 layers × 32 experts, 4 active[\s\S]*[1-9]\d* tokens seen/)
    const painted = await page.locator('aside.strip canvas').evaluate((canvas: HTMLCanvasElement) => {
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
      return new Set(new Uint32Array(data.buffer)).size
    })
    expect(painted).toBeGreaterThan(4)
    await page.locator('aside.strip canvas').focus()
    await page.keyboard.press('ArrowRight')
    await expect.poll(() => page.locator('#strip-cursor').innerText()).toMatch(/^Layer 1, expert 0, [\d.]+%/)
    await page.getByRole('button', { name: 'Show as table' }).click()
    expect(await page.locator('aside.strip tbody tr').count()).toBe(5)
    await page.getByRole('button', { name: 'Show as map' }).click()
    await page.locator('article.answer .summary').first().click()
    const figures = await page.getByRole('dialog', { name: 'Figures of this answer' }).innerText()
    for (const name of ['Speed', 'First token', 'From cache', 'Context', 'Seed', 'Ended']) expect(figures).toContain(name)
    await page.keyboard.press('Escape')
  })

  it('regenerates beside the first answer, and edits beside the first question', async () => {
    await page.getByRole('button', { name: 'Regenerate' }).click()
    await page.getByText('2/2').waitFor()
    await answerShown(page, 1)
    await page.getByRole('button', { name: 'Previous version' }).click()
    await page.getByText('1/2').waitFor()
    await page.locator('article.user').hover()
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByRole('textbox', { name: 'Edit' }).fill('What is 7 * 2?')
    await page.keyboard.press('Enter')
    await page.locator('article.user .bubble', { hasText: 'What is 7 * 2?' }).waitFor()
    await answerShown(page, 1)
    expect(await page.locator('article.user').innerText()).toContain('2/2')
  })

  it('stops with Escape and says so', async () => {
    await newRamblingChat()
    await ask('Tell me a short story.')
    await page.locator('article.answer .answer-text').waitFor()
    await page.keyboard.press('Escape')
    await answerShown(page, 1)
    expect(await answers().first().innerText()).toContain('You stopped this answer.')
  })

  it('goes on with a running answer after the page was loaded again', async () => {
    await newRamblingChat()
    await ask('Can you tell me a story?')
    await page.locator('article.answer .answer-text').waitFor()
    await page.reload()
    await answerShown(page, 1)
    expect((await answerText(0)).length).toBeGreaterThan(20)
    expect(window.problems.splice(0).filter(problem => !/WebSocket/.test(problem))).toEqual([])
  })

  it('finds, renames, deletes and restores conversations', async () => {
    await page.getByRole('searchbox', { name: 'Search chats' }).fill('What is 12 * 3')
    await expect.poll(() => page.locator('aside.list .entry').count()).toBe(1)
    await page.getByRole('searchbox', { name: 'Search chats' }).fill('')
    await expect.poll(() => page.locator('aside.list .entry').count()).toBe(3)
    const first = page.locator('aside.list .entry').first()
    await first.hover()
    await first.getByRole('button').click()
    await page.getByRole('menuitem', { name: 'Rename' }).click()
    await page.getByRole('textbox', { name: 'Name' }).fill('A tale')
    await page.keyboard.press('Enter')
    await page.locator('aside.list .entry', { hasText: 'A tale' }).waitFor()
    await page.locator('aside.list .entry', { hasText: 'A tale' }).hover()
    await page.getByRole('button', { name: 'Actions for “A tale”' }).click()
    await page.getByRole('menuitem', { name: 'Delete' }).click()
    await page.getByRole('button', { name: 'Undo' }).click()
    await page.locator('aside.list .entry', { hasText: 'A tale' }).waitFor()
    expect(await page.locator('aside.list .entry').count()).toBe(3)
  })

  it('imports a model from the host\'s folders, and shows what is wrong with a damaged one', async () => {
    await page.getByRole('link', { name: 'Models', exact: true }).click()
    await page.getByRole('button', { name: 'Add model' }).click()
    await page.getByRole('button', { name: /^\s*models/ }).click()
    await page.getByRole('button', { name: /deepseek2-v3\.gguf/ }).click()
    await page.locator('.toast', { hasText: 'was added' }).waitFor()
    await page.locator('article.details').getByText('4 of 12').first().waitFor()
    await page.getByRole('tab', { name: /Tensors/ }).click()
    await page.getByRole('searchbox', { name: 'Search tensors' }).fill('ffn_gate_inp')
    await page.getByRole('cell', { name: /blk\.\d+\.ffn_gate_inp/ }).first().waitFor()
    await page.getByRole('tab', { name: 'Metadata' }).click()
    await page.getByText('general.architecture').waitFor()

    await page.getByRole('button', { name: 'Add model' }).click()
    await page.getByRole('button', { name: /^\s*models/ }).click()
    await page.getByRole('button', { name: /damaged\.gguf/ }).click()
    const dialog = page.getByRole('dialog', { name: 'This file cannot be used' })
    await dialog.waitFor()
    expect(await dialog.innerText()).toMatch(/damaged\.gguf/)
    await dialog.getByRole('button', { name: 'Close' }).last().click()
    expect(await page.locator('article.details').innerText()).toContain('byte 4')
    await page.getByRole('link', { name: /deepseek2-v3/ }).click()
  })

  it('loads and unloads, and does everything from the palette', async () => {
    await page.getByRole('button', { name: 'Load', exact: true }).click()
    await page.getByRole('button', { name: 'Unload' }).click()
    await page.getByRole('button', { name: 'Load', exact: true }).waitFor()
    await command('theme dark')
    await expect.poll(() => page.evaluate(() => document.documentElement.dataset.theme)).toBe('dark')
    await command('简体')
    await page.getByRole('link', { name: '模型', exact: true }).waitFor()
    expect(await page.evaluate(() => document.documentElement.lang)).toBe('zh-CN')
    await command('english')
    await page.getByRole('link', { name: 'Models', exact: true }).waitFor()
    await page.keyboard.press('Alt+3')
    await page.getByRole('heading', { name: 'Server', level: 1 }).waitFor()
  })

  it('starts the server and gives out a token once', async () => {
    await page.getByRole('switch', { name: 'Server', exact: true }).click()
    await page.locator('.url').first().waitFor()
    const url = (await page.locator('.url').first().innerText()).trim()
    await page.getByRole('textbox', { name: 'Name of the program' }).fill('test')
    await page.keyboard.press('Enter')
    const token = (await page.locator('.token').innerText()).trim()
    const asked = await fetch(`${url.replace(/\/v1\/?$/, '')}/v1/models`, { headers: { authorization: `Bearer ${token}` } })
    expect(asked.status).toBe(200)
    await page.getByRole('button', { name: 'I have copied it' }).click()
    await page.getByRole('switch', { name: 'Server', exact: true }).click()
    await expect.poll(() => page.locator('.url').count()).toBe(0)
  })

  it('rests when nothing happens: no timers, no frames', async () => {
    await page.getByRole('link', { name: 'Chat', exact: true }).click()
    await message().waitFor()
    await page.waitForTimeout(1500)
    const work = await page.evaluate(async () => {
      const counts = { timeouts: 0, intervals: 0, frames: 0 }
      const { setTimeout: timeout, setInterval: interval, requestAnimationFrame: frame } = globalThis
      Object.assign(globalThis, {
        setTimeout: (...args: Parameters<typeof timeout>) => { counts.timeouts++; return timeout(...args) },
        setInterval: (...args: Parameters<typeof interval>) => { counts.intervals++; return interval(...args) },
        requestAnimationFrame: (callback: FrameRequestCallback) => { counts.frames++; return frame(callback) },
      })
      await new Promise(resolve => { timeout(resolve, 4000) })
      Object.assign(globalThis, { setTimeout: timeout, setInterval: interval, requestAnimationFrame: frame })
      return counts
    })
    // One timeout may be the socket's own ping.
    expect(work.timeouts).toBeLessThanOrEqual(1)
    expect(work).toMatchObject({ intervals: 0, frames: 0 })
  })

  it.skipIf(process.platform !== 'linux')('survives the death of its host: says why, and answers again', async () => {
    const [host] = readFileSync(`/proc/${serve.pid}/task/${serve.pid}/children`, 'utf8').trim().split(' ')
    process.kill(Number(host), 'SIGKILL')
    const banner = page.getByRole('alert').filter({ hasText: 'The host had to be restarted' })
    await banner.waitFor()
    expect((await banner.innerText()).length).toBeGreaterThan(60)
    await page.locator('.toast', { hasText: 'The connection to the host is back' }).waitFor()
    await banner.getByRole('button', { name: 'Dismiss' }).click()
    await banner.waitFor({ state: 'detached' })
    await newChat()
    await ask('What is 12 * 3?')
    await answerShown(page, 1)
  })

  it('finds the conversations again after the program was started anew', async () => {
    await serve.end()
    await page.getByText('The connection to the host is lost').first().waitFor()
    window.problems.length = 0
    await window.close()
    serve = await startServe(dataDir, { home })
    window = await openPage(browser, serve.address)
    page = window.page
    await page.locator('aside.list .entry', { hasText: 'A tale' }).click()
    await answerShown(page, 1)
    expect((await answerText(0)).length).toBeGreaterThan(20)
    expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe('dark')
  })

  it.each([['light', 'en'], ['light', 'zh-CN'], ['dark', 'en'], ['dark', 'zh-CN'], ['contrast', 'en']])('has no accessibility violation in %s and %s', async (theme, locale) => {
    await command({ light: /^(?:en)$/.test(await lang()) ? 'theme light' : '主题 浅色', dark: await lang() === 'en' ? 'theme dark' : '主题 深色', contrast: await lang() === 'en' ? 'theme contrast' : '主题 高对比' }[theme] ?? '')
    await expect.poll(() => page.evaluate(() => document.documentElement.dataset.theme)).toBe(theme)
    await command(locale === 'en' ? 'english' : '简体')
    await expect.poll(lang).toBe(locale)
    for (const view of ['chat', 'chat/new', 'models', 'server', 'settings']) {
      await page.evaluate(hash => { location.hash = hash }, `#/${view}`)
      await page.locator('main h1, main h2').first().waitFor()
      await page.waitForTimeout(350)
      expect(await accessibilityViolations(page), `${view} in ${theme}, ${locale}`).toEqual([])
    }
  })

  it('has no accessibility violation in menus and dialogs either', async () => {
    await command('theme light')
    await command('english')
    const clean = async (what: string): Promise<void> => {
      await page.waitForTimeout(300)
      expect(await accessibilityViolations(page), what).toEqual([])
      await page.keyboard.press('Escape')
      await page.waitForTimeout(150)
    }
    await page.evaluate(() => { location.hash = '#/chat/new' })
    await ask('What is 7 * 2?')
    await answerShown(page, 1)
    await page.getByRole('button', { name: /^Model:/ }).click()
    await clean('model picker')
    await page.getByRole('button', { name: 'Sampling and system prompt' }).click()
    await clean('sampling')
    await page.locator('article.answer .summary').first().click()
    await clean('figures')
    await page.locator('aside.list .entry').first().hover()
    await page.getByRole('button', { name: /^Actions for/ }).first().click()
    await clean('menu of a chat')
    await page.keyboard.press('Control+k')
    await page.locator('.palette-input').fill('zzz')
    await clean('palette without a match')
    await page.getByRole('button', { name: 'Show as table' }).click()
    await clean('routing table')
    await page.getByRole('link', { name: 'Models', exact: true }).click()
    for (const tab of ['Metadata', 'Tensors', 'Chat template']) {
      await page.getByRole('tab', { name: tab }).click()
      await page.locator('[role="tabpanel"][data-state="active"]').waitFor()
      await clean(tab)
    }
    await page.getByRole('button', { name: 'Add model' }).click()
    await page.getByRole('button', { name: /^\s*models/ }).waitFor()
    await clean('file browser')
  })

  it('is reached and left by keyboard alone', async () => {
    await page.goto('about:blank')
    await page.goto(serve.address.replace(/#.*/, '#/settings'))
    await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor()
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('content')
    await page.keyboard.press('Tab')
    await page.keyboard.press('ArrowRight', { delay: 40 })
    await expect.poll(() => page.evaluate(() => document.documentElement.dataset.theme)).toBe('dark')
    await page.keyboard.press('ArrowLeft', { delay: 40 })
    await expect.poll(() => page.evaluate(() => document.documentElement.dataset.theme)).toBe('light')
    await page.keyboard.press('Alt+n')
    await page.getByRole('heading', { name: 'What shall we think about?' }).waitFor()
    await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).toBe('TEXTAREA')
  })
  const lang = (): Promise<string> => page.evaluate(() => document.documentElement.lang)
})
