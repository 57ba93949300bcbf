// The shell of a browser window: no dialogs of the system, but a file browser of the host,
// confined to a few roots.
import { shellContract, WorkbenchError } from '../../contract'
import { createServer, type Wire } from '../../contract/rpc'
import { version } from '../version'
import { browseFolder } from './file-browser'

export interface Shell {
  accept(wire: Wire): void
  close(): void
}

export function createShell(roots: readonly string[]): Shell {
  const unsupported = (what: string) => (): never => {
    throw new WorkbenchError('E_UNSUPPORTED', `A browser window cannot ${what}.`)
  }
  const server = createServer(shellContract, {
    calls: {
      'shell.capabilities': () => ({ pickFile: false, dropPath: false, reveal: false, browse: true, windowControls: false, platform: process.platform }),
      'shell.pickModel': unsupported('open the file dialog of another machine'),
      'shell.browse': ({ path }) => browseFolder(roots, path),
      'shell.reveal': unsupported('open folders of the host'),
      'shell.openExternal': unsupported('be opened by the host'),
    },
    streams: {},
  }, { app: `moebius ${version}` })
  return { accept: wire => server.accept(wire, { scopes: ['infer', 'manage', 'train'] }), close: () => server.close() }
}
