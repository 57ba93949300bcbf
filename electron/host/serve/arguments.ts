import { parseArgs } from 'node:util'
import { parseSize } from '../cli/format'

export interface ServeArguments {
  host: string
  port: number
  token: string | undefined
  dataDir: string | undefined
  modelsDirs: string[]
  // undefined: as the settings say; 0: the port of the settings.
  restPort: number | undefined
  open: boolean
  // Bytes for the streamed experts of models that the settings do not name.
  expertMemory: number | undefined
}

export class ServeUsageError extends Error {}

export const serveHelp = `Usage: moebius serve [options]

Starts the workbench and prints the address to open in a browser.

  --host ADDRESS      address to listen on (127.0.0.1); others make it visible to the network
  --port N            port (0: a free one)
  --token TEXT        what opens the window (a new one each time)
  --data-dir FOLDER   conversations, settings and the list of models (MOEBIUS_DATA_DIR, or the platform's place)
  --models-dir FOLDER model files to put on the list; may be given several times
  --rest              start the REST server too
  --rest-port N       the same, on this port (7117)
  --expert-memory SIZE  stream the experts of models that have any, with SIZE of memory for them, such as 8GiB
  --open              open the window in the system's browser
`

export function parseServeArguments(argv: readonly string[]): ServeArguments | 'help' {
  const values = parse(argv)
  if (values.help) return 'help'
  const rest = values['rest-port'] === undefined ? (values.rest ? 0 : undefined) : portOf('--rest-port', values['rest-port'])
  const token = values.token
  if (token !== undefined && !/^[\w.~-]{8,200}$/.test(token)) throw new ServeUsageError('--token takes 8 to 200 letters, digits, dots, dashes and underscores.')
  const expertMemory = values['expert-memory'] === undefined ? undefined : parseSize(values['expert-memory'])
  if (values['expert-memory'] !== undefined && !expertMemory) throw new ServeUsageError(`--expert-memory takes a size such as 8GiB, not "${values['expert-memory']}".`)
  return {
    host: values.host ?? '127.0.0.1', port: values.port === undefined ? 0 : portOf('--port', values.port), token,
    dataDir: values['data-dir'], modelsDirs: values['models-dir'] ?? [], restPort: rest, open: values.open ?? false, expertMemory,
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        'host': { type: 'string' }, 'port': { type: 'string' }, 'token': { type: 'string' }, 'data-dir': { type: 'string' },
        'models-dir': { type: 'string', multiple: true }, 'rest': { type: 'boolean' }, 'rest-port': { type: 'string' },
        'expert-memory': { type: 'string' }, 'open': { type: 'boolean' }, 'help': { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new ServeUsageError(error instanceof Error ? error.message : String(error))
  }
}

function portOf(option: string, text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port
  throw new ServeUsageError(`${option} takes a number from 0 to 65535, not "${text}".`)
}
