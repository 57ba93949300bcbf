// `npm start`: prepare, then open the best window this machine has: Electron, else the
// same workbench as an app window of an installed Chromium, else its address.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { prepare } from './prepare.mjs'
import { cache, main, root, run, say } from './toolchain.mjs'

const day = 24 * 60 * 60 * 1000

function hasDisplay() {
  return process.platform !== 'linux' || Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY)
}

function electronBinary() {
  const folder = join(root, 'node_modules/electron')
  if (process.env.ELECTRON_EXEC_PATH) return process.env.ELECTRON_EXEC_PATH
  if (!existsSync(join(folder, 'path.txt'))) return undefined
  const binary = join(folder, 'dist', readFileSync(join(folder, 'path.txt'), 'utf8'))
  return existsSync(binary) ? binary : undefined
}

// Electron's binary is a download of its own; a refusal is remembered for a day.
async function fetchElectron(node) {
  const refused = join(cache, 'electron-refused')
  if (existsSync(refused) && Date.now() - statSync(refused).mtimeMs < day) return undefined
  say('Fetching the Electron binary …')
  try {
    await run(node, [join(root, 'node_modules/electron/install.js')], { quiet: true })
  } catch {
    mkdirSync(cache, { recursive: true })
    writeFileSync(refused, '')
  }
  return electronBinary()
}

function systemBrowser() {
  const candidates = process.platform === 'darwin'
    ? ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome', '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge', '/Applications/Chromium.app/Contents/MacOS/Chromium']
    : process.platform === 'win32'
      ? [process.env['ProgramFiles(x86)'], process.env.ProgramFiles].filter(Boolean).flatMap(base => [join(base, 'Google/Chrome/Application/chrome.exe'), join(base, 'Microsoft/Edge/Application/msedge.exe')])
      : ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge'].map(name => spawnSync('which', [name], { encoding: 'utf8' }).stdout.trim())
  return [process.env.CHROMIUM_PATH, ...candidates].find(path => path && existsSync(path))
}

function follow(child) {
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  return new Promise(resolve => child.on('exit', code => resolve(code ?? 1)))
}

function openAppWindow(browser, address) {
  const profile = join(cache, 'window-profile')
  const args = [`--app=${address}`, `--user-data-dir=${profile}`, '--no-first-run', '--no-default-browser-check', '--disable-background-networking', '--disable-sync', '--disable-component-update', '--class=moebius']
  spawn(browser, args, { stdio: 'ignore', detached: true }).unref()
}

// The host prints "Moebius is ready at ADDRESS"; the window opens on that line.
function startHost(node, options, browser) {
  const child = spawn(node, [join(root, 'out/main/cli.js'), 'serve', ...options], { stdio: ['inherit', 'pipe', 'inherit'] })
  child.stdout.setEncoding('utf8')
  let opened = false
  child.stdout.on('data', text => {
    process.stdout.write(text)
    const address = /Moebius is (?:ready|running) at (\S+)/.exec(text)?.[1]
    if (!address || opened || !browser) return
    opened = true
    openAppWindow(browser, address)
  })
  return follow(child)
}

await main(async () => {
  const options = process.argv.slice(2)
  const headless = options.includes('--headless')
  const hostOptions = options.filter(option => option !== '--headless')
  const node = await prepare()
  if (headless) return void (process.exitCode = await startHost(node, hostOptions))
  const electron = hasDisplay() ? electronBinary() ?? await fetchElectron(node) : undefined
  if (electron) return void (process.exitCode = await follow(spawn(electron, [root, ...hostOptions], { stdio: 'inherit' })))
  const browser = hasDisplay() ? systemBrowser() : undefined
  if (!hasDisplay()) say('There is no display: open the address below in a browser.')
  else if (browser) say(`Electron's binary could not be had: opening the same workbench as a window of ${browser}.`)
  else say('Electron\'s binary could not be had and no Chromium, Chrome or Edge was found: open the address below in a browser.')
  process.exitCode = await startHost(node, hostOptions, browser)
})
