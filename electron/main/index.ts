// Electron's main process: one window, its ports, and the supervision of the host. It touches
// no model and no database, and no stream passes through it.
import { join } from 'node:path'
import { app, type BrowserWindow, ipcMain, type IpcMainEvent, MessageChannelMain } from 'electron'
import { contract } from '../contract'
import { createClient, messagePortWire } from '../contract/rpc'
import { builtInModelName, defaultDataDir, findResource } from '../host/places'
import { Supervisor, type SupervisorState } from '../host/supervisor'
import { createMainWindow, denyPermissions, registerScheme, serveRenderer } from './main-window'
import { installMenu } from './menu'
import { OpenedFiles } from './opened-files'
import { acceptShellPort, createShell } from './shell'
import { spawnUtilityHost } from './utility-host'
import { isTrustedSender } from './window-rules'

const out = join(import.meta.dirname, '..')
let window: BrowserWindow | undefined

app.enableSandbox()
registerScheme()
// Registered before ready: macOS may send a file that early.
const openedFiles = new OpenedFiles(app)

if (app.requestSingleInstanceLock({ paths: openedFiles.fromArguments(process.argv) })) {
  void app.whenReady().then(run)
} else {
  app.quit()
}

function run(): void {
  serveRenderer(join(out, 'renderer'))
  denyPermissions()
  installMenu()
  const builtInModel = findResource(builtInModelName)
  const supervisor = new Supervisor({
    spawn: () => spawnUtilityHost(join(out, 'main', 'utility.js')),
    start: { kind: 'electron', dataDir: defaultDataDir(), holder: { pid: process.pid }, ...(builtInModel !== undefined && { builtInModel }) },
  })
  const shell = createShell(() => window)

  const sendHostPort = (): void => {
    if (!window || window.isDestroyed()) return
    const { port1, port2 } = new MessageChannelMain()
    supervisor.connectPort(port2, fallback => fallback.accept(messagePortWire(port2)))
    window.webContents.postMessage('moebius:port', 'host', [port1])
  }
  const sendShellPort = (): void => {
    if (!window || window.isDestroyed()) return
    const { port1, port2 } = new MessageChannelMain()
    acceptShellPort(shell, port2)
    window.webContents.postMessage('moebius:port', 'shell', [port1])
  }
  ipcMain.on('moebius:connect', event => {
    if (!isTrustedSender(senderOf(event))) return
    sendHostPort()
    sendShellPort()
  })
  // The window's old port died with the host, or with the fallback; a new one waits for the next.
  // A port that still waits is not sent twice: the window would keep the spare one for later.
  let before: SupervisorState['kind'] = 'stopped'
  supervisor.onDidChange.on(({ kind }) => {
    const portDied = before === 'ready' || before === 'failed'
    before = kind
    if (portDied && kind !== 'stopped') sendHostPort()
  })

  supervisor.start()
  const open = (): void => {
    window = createMainWindow(join(out, 'preload', 'index.cjs'))
    window.on('closed', () => { window = undefined })
  }
  open()
  openedFiles.deliver(importer(supervisor))

  app.on('second-instance', (_event, _argv, _directory, data) => {
    openedFiles.fromSecondInstance(data)
    if (window?.isMinimized()) window.restore()
    window?.focus()
  })
  app.on('activate', () => { if (!window) open() })
  app.on('window-all-closed', () => { if (process.platform !== 'darwin') app.quit() })
  quitInOrder(supervisor)
}

function senderOf(event: IpcMainEvent): { url: string, isTopFrame: boolean } | undefined {
  const frame = event.senderFrame
  return frame ? { url: frame.url, isTopFrame: frame === event.sender.mainFrame } : undefined
}

// Files from the operating system are indexed like dropped ones; the window sees the list change.
function importer(supervisor: Supervisor): (paths: string[]) => void {
  const client = createClient(contract, () => {
    const { port1, port2 } = new MessageChannelMain()
    supervisor.connectPort(port2, fallback => fallback.accept(messagePortWire(port2)))
    return messagePortWire(port1)
  }, { app: 'main' })
  return paths => void client.call('models.import', { paths }).catch((error: unknown) => console.error(`import: ${String(error)}`))
}

// The host ends before the app does, so that nothing is cut in the middle of a write.
function quitInOrder(supervisor: Supervisor): void {
  let ended = false
  app.on('before-quit', event => {
    if (ended) return
    event.preventDefault()
    void supervisor.stop().finally(() => {
      ended = true
      app.quit()
    })
  })
}
