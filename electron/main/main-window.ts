// The window, its protocol and its walls: no navigation, no permissions, no foreign frames.
import { readFile } from 'node:fs/promises'
import { BrowserWindow, protocol, session } from 'electron'
import { appOrigin, contentSecurityPolicy, rendererFile } from './window-rules'

// Before the app is ready.
export function registerScheme(): void {
  protocol.registerSchemesAsPrivileged([{ scheme: 'app', privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } }])
}

export function serveRenderer(root: string): void {
  protocol.handle('app', async request => {
    const file = rendererFile(root, request.url)
    if (!file || request.method !== 'GET') return new Response('not found', { status: 404 })
    try {
      return new Response(new Uint8Array(await readFile(file.path)), {
        headers: { 'content-type': file.mediaType, 'content-security-policy': contentSecurityPolicy, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' },
      })
    } catch {
      return new Response('not found', { status: 404 })
    }
  })
}

export function denyPermissions(): void {
  const allowed = (permission: string): boolean => permission === 'clipboard-sanitized-write'
  session.defaultSession.setPermissionRequestHandler((_contents, permission, callback) => callback(allowed(permission)))
  session.defaultSession.setPermissionCheckHandler((_contents, permission) => allowed(permission))
  // Nothing in the page may reach the network: every request is app:// or of the page itself.
  session.defaultSession.webRequest.onBeforeRequest((details, callback) => {
    callback({ cancel: !/^(app|data|blob|devtools|chrome-extension):/.test(details.url) })
  })
}

export function createMainWindow(preload: string): BrowserWindow {
  const window = new BrowserWindow({
    width: 1280, height: 820, minWidth: 720, minHeight: 520, show: false, title: 'Moebius', autoHideMenuBar: true,
    webPreferences: {
      preload, contextIsolation: true, sandbox: true, nodeIntegration: false, webSecurity: true, webviewTag: false, spellcheck: false,
    },
  })
  const { webContents } = window
  webContents.on('will-navigate', event => event.preventDefault())
  webContents.on('will-redirect', event => event.preventDefault())
  webContents.on('will-attach-webview', event => event.preventDefault())
  webContents.setWindowOpenHandler(() => ({ action: 'deny' }))
  window.once('ready-to-show', () => window.show())
  void window.loadURL(`${appOrigin}/index.html`)
  return window
}
