// The desktop window itself. Needs an Electron binary: ELECTRON_EXEC_PATH, or the one the
// package fetched; and a display (xvfb-run on a server).
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { _electron as electron } from 'playwright-core'
import { expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')

function electronBinary(): string | undefined {
  if (process.env.ELECTRON_EXEC_PATH) return process.env.ELECTRON_EXEC_PATH
  const named = join(root, 'node_modules/electron/path.txt')
  const binary = existsSync(named) ? join(root, 'node_modules/electron/dist', readFileSync(named, 'utf8')) : undefined
  return binary && existsSync(binary) ? binary : undefined
}

const binary = electronBinary()
const display = process.platform !== 'linux' || process.env.DISPLAY || process.env.WAYLAND_DISPLAY
const reason = !binary ? 'no Electron binary on this machine' : !display ? 'no display' : undefined
if (reason) console.warn(`skipped: the Electron window (${reason})`)

it.skipIf(reason !== undefined)('opens the workbench, answers, and survives the death of its host', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'moebius-electron-'))
  const app = await electron.launch({ executablePath: binary!, args: [root, ...process.getuid?.() === 0 ? ['--no-sandbox'] : []], env: { ...process.env, MOEBIUS_DATA_DIR: dataDir } as Record<string, string> })
  try {
    const page = await app.firstWindow()
    await page.getByRole('textbox', { name: /message/i }).fill('Once upon a time')
    await page.keyboard.press('Enter')
    await page.getByText(/tok\/s/).first().waitFor()
    expect(await page.evaluate(() => 'require' in window || 'process' in window)).toBe(false)
    const hostPid = await app.evaluate(({ app: main }) => main.getAppMetrics().find(metric => metric.serviceName?.includes('moebius-host') || metric.name?.includes('moebius-host'))?.pid)
    expect(hostPid).toBeGreaterThan(0)
    process.kill(hostPid!, 'SIGKILL')
    await page.getByRole('alert').first().waitFor()
    await page.getByRole('textbox', { name: /message/i }).fill('And then?')
    await page.keyboard.press('Enter')
    await page.getByText(/tok\/s/).nth(1).waitFor()
  } finally {
    await app.close()
    rmSync(dataDir, { recursive: true, force: true })
  }
})
