// What the desktop can do for the window: dialogs, the file manager, the browser.
import { app, type BrowserWindow, dialog, type MessagePortMain, shell } from 'electron'
import { shellContract, WorkbenchError } from '../contract'
import { createServer, messagePortWire, type Server } from '../contract/rpc'
import { externalAddress } from './window-rules'

export function createShell(window: () => BrowserWindow | undefined): Server<typeof shellContract> {
  return createServer(shellContract, {
    calls: {
      'shell.capabilities': () => ({ pickFile: true, dropPath: true, reveal: true, browse: false, windowControls: false, platform: process.platform }),
      'shell.pickModel': async ({ folder }) => {
        const parent = window()
        const options: Electron.OpenDialogOptions = {
          properties: folder ? ['openDirectory', 'multiSelections'] : ['openFile', 'multiSelections'],
          ...(!folder && { filters: [{ name: 'GGUF', extensions: ['gguf'] }, { name: '*', extensions: ['*'] }] }),
        }
        const { canceled, filePaths } = parent ? await dialog.showOpenDialog(parent, options) : await dialog.showOpenDialog(options)
        return { paths: canceled ? [] : filePaths }
      },
      'shell.browse': () => { throw new WorkbenchError('E_UNSUPPORTED', 'This window has a file dialog.', { hint: 'Use it instead of the file browser.' }) },
      'shell.reveal': ({ path }) => {
        shell.showItemInFolder(path)
        return {}
      },
      'shell.openExternal': async ({ url }) => {
        await openExternal(url, window())
        return {}
      },
    },
    streams: {},
  }, { app: `moebius ${app.getVersion()}` })
}

export function acceptShellPort(server: Server<typeof shellContract>, port: MessagePortMain): void {
  server.accept(messagePortWire(port), { scopes: ['infer', 'manage'] })
}

// Links come from model output: the user sees the host before anything opens.
async function openExternal(url: string, parent: BrowserWindow | undefined): Promise<void> {
  const address = externalAddress(url)
  if (!address) throw new WorkbenchError('E_BAD_REQUEST', 'Only https addresses without a password can be opened.')
  const question: Electron.MessageBoxOptions = {
    type: 'question', buttons: ['Cancel', `Open ${address.host}`], defaultId: 0, cancelId: 0,
    message: address.host, detail: address.href.slice(0, 500),
  }
  const { response } = parent ? await dialog.showMessageBox(parent, question) : await dialog.showMessageBox(question)
  if (response === 1) await shell.openExternal(address.href)
}
