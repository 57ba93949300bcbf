// Where the program keeps its data, and where what ships with it lies.
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Environment { platform: string, home: string, variables: Readonly<Record<string, string | undefined>> }

function here(): Environment { return { platform: process.platform, home: homedir(), variables: process.env } }

// MOEBIUS_DATA_DIR, else the platform's usual place.
export function defaultDataDir({ platform, home, variables }: Environment = here()): string {
  const { MOEBIUS_DATA_DIR, XDG_DATA_HOME, LOCALAPPDATA } = variables
  if (MOEBIUS_DATA_DIR) return MOEBIUS_DATA_DIR
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'moebius')
  if (platform === 'win32') return join(LOCALAPPDATA ?? join(home, 'AppData', 'Local'), 'moebius')
  return join(XDG_DATA_HOME ?? join(home, '.local', 'share'), 'moebius')
}

// A file of resources/: beside a packaged program, or in a folder above this module.
export function findResource(name: string): string | undefined {
  const candidates: string[] = []
  const packaged = (process as { resourcesPath?: string }).resourcesPath
  if (packaged) candidates.push(join(packaged, 'resources', name), join(packaged, 'app.asar.unpacked', 'resources', name))
  for (let folder = dirname(fileURLToPath(import.meta.url)); dirname(folder) !== folder; folder = dirname(folder)) {
    // Native code cannot read inside an archive.
    candidates.push(join(folder.replace(/app\.asar(?=$|[\\/])/, 'app.asar.unpacked'), 'resources', name))
  }
  return candidates.find(path => existsSync(path))
}

export const builtInModelName = 'models/moebius-demo-6m.gguf'
