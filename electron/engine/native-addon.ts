// Where the addon may lie. Only paths are computed here; native.ts does the loading.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const builtAddon = join('native', 'build', 'Release', 'native.node')

// Candidates in the order they are tried: MOEBIUS_ADDON alone when set; else the packaged
// place, then the folders above this module (a source tree, or a bundle inside it).
export function addonCandidates(): string[] {
  const named = process.env['MOEBIUS_ADDON']
  if (named) return [named]
  const candidates: string[] = []
  const resources = (process as { resourcesPath?: string }).resourcesPath
  if (resources) candidates.push(join(resources, 'native.node'), join(resources, 'app.asar.unpacked', builtAddon))
  let folder = dirname(fileURLToPath(import.meta.url))
  while (dirname(folder) !== folder) {
    // The system cannot open a library inside an archive: it is unpacked beside it.
    candidates.push(join(folder.replace(/app\.asar(?=$|[\\/])/, 'app.asar.unpacked'), builtAddon))
    folder = dirname(folder)
  }
  return candidates
}

export function findAddon(): string | undefined {
  return addonCandidates().find(path => existsSync(path))
}
