// Folders and model files of the host, for windows without a file dialog. Nothing outside the
// roots is shown, wherever links lead.
import { readdir, realpath, stat } from 'node:fs/promises'
import { dirname, extname, join, resolve, sep } from 'node:path'
import { WorkbenchError, type DirectoryEntry } from '../../contract'

export interface FolderView { path: string, parent?: string, entries: DirectoryEntry[] }

const maxEntries = 5000
// Where other programs keep their models; other hidden folders are not shown.
const shownHidden = new Set(['.cache', '.lmstudio', '.ollama'])

// Without a path: the first root. Throws E_NOT_FOUND and, outside the roots, E_SCOPE.
export async function browseFolder(roots: readonly string[], path = roots[0] ?? '/'): Promise<FolderView> {
  const realRoots = await Promise.all(roots.map(root => realpath(root).catch(() => resolve(root))))
  const folder = await realpath(resolve(path)).catch(() => undefined)
  // The same answer inside and outside, so that nobody learns what is there.
  if (folder !== undefined && !isInside(realRoots, folder)) throw outside(path)
  if (folder === undefined) throw isInside(realRoots, resolve(path)) ? new WorkbenchError('E_NOT_FOUND', `There is no folder ${path}.`) : outside(path)
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new WorkbenchError('E_NOT_FOUND', error.code === 'ENOTDIR' ? `${path} is no folder.` : `The folder ${path} cannot be read: ${error.message}`)
  })
  const entries: DirectoryEntry[] = []
  for (const name of names.slice(0, maxEntries)) {
    const entry = await entryOf(realRoots, folder, name)
    if (entry) entries.push(entry)
  }
  entries.sort((a, b) => (a.kind === b.kind ? a.name.localeCompare(b.name) : a.kind === 'directory' ? -1 : 1))
  const parent = dirname(folder)
  return { path: folder, ...(parent !== folder && isInside(realRoots, parent) && { parent }), entries }
}

async function entryOf(realRoots: readonly string[], folder: string, name: string): Promise<DirectoryEntry | undefined> {
  if (name.startsWith('.') && !shownHidden.has(name)) return undefined
  const path = join(folder, name)
  const real = await realpath(path).catch(() => undefined)
  const stats = real === undefined ? undefined : await stat(real).catch(() => undefined)
  if (real === undefined || !stats || !isInside(realRoots, real)) return undefined
  if (stats.isDirectory()) return { name, path, kind: 'directory', bytes: 0 }
  return stats.isFile() && extname(name).toLowerCase() === '.gguf' ? { name, path, kind: 'gguf', bytes: stats.size } : undefined
}

function isInside(realRoots: readonly string[], path: string): boolean {
  return realRoots.some(root => path === root || path.startsWith(root.endsWith(sep) ? root : root + sep))
}

function outside(path: string): WorkbenchError {
  return new WorkbenchError('E_SCOPE', `${path} lies outside the folders this window may look into.`, { hint: 'Start the host with --models-dir for further folders.' })
}
