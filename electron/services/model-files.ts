// Finds model files: named files, folders searched recursively, split sets as one, and files
// without an ending (other programs' blobs) by their first four bytes.
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { WorkbenchError, type WorkbenchErrorShape } from '../contract'

export interface FoundFile {
  // The first part of a split set, when it is there.
  path: string
  // Without the usual ending: its name says nothing about the model.
  blob: boolean
}

export interface SplitName { stem: string, index: number, count: number }

export interface FoundFiles { files: FoundFile[], problems: { path: string, error: WorkbenchErrorShape }[] }

const maxDepth = 16
const maxFiles = 10_000

export async function findModelFiles(paths: readonly string[]): Promise<FoundFiles> {
  const search = new Search()
  for (const path of paths) await search.add(resolve(path))
  return { files: [...search.files.values()], problems: search.problems }
}

// 'name-00002-of-00003.gguf' → name, 2, 3.
export function parseSplitName(name: string): SplitName | undefined {
  const [, stem, index, count] = /^(.+)-(\d{5})-of-(\d{5})\.gguf$/i.exec(name) ?? []
  return stem === undefined ? undefined : { stem, index: Number(index), count: Number(count) }
}

export async function fileStamp(path: string): Promise<{ size: number, modifiedAt: number } | undefined> {
  const stats = await stat(path).catch(() => undefined)
  return stats?.isFile() ? { size: stats.size, modifiedAt: Math.trunc(stats.mtimeMs) } : undefined
}

class Search {
  readonly files = new Map<string, FoundFile>()
  readonly problems: FoundFiles['problems'] = []
  // Real paths of folders already seen: links may lead in circles.
  private readonly seen = new Set<string>()

  async add(path: string): Promise<void> {
    const stats = await stat(path).catch((error: NodeJS.ErrnoException) => error)
    if (stats instanceof Error) {
      const missing = stats.code === 'ENOENT' || stats.code === 'ENOTDIR'
      return this.problem(path, missing ? 'E_NOT_FOUND' : 'E_IO', missing ? `There is no file ${path}.` : `${path} cannot be read: ${stats.message}`)
    }
    if (stats.isDirectory()) return this.addFolder(path, 0)
    if (!stats.isFile()) return this.problem(path, 'E_IO', `${path} is neither a file nor a folder.`)
    if (isModelName(path) || await startsWithMagic(path)) return this.keep(path)
    this.problem(path, 'E_GGUF', `${path} is no GGUF file: it does not begin with the bytes "GGUF" at offset 0.`)
  }

  private async addFolder(folder: string, depth: number): Promise<void> {
    const real = await realpath(folder).catch(() => folder)
    if (this.seen.has(real)) return
    this.seen.add(real)
    if (depth > maxDepth) return this.problem(folder, 'E_IO', `${folder} is nested deeper than ${maxDepth} folders and was not searched.`)
    const entries = await readdir(folder, { withFileTypes: true }).catch((error: Error) => error)
    if (entries instanceof Error) return this.problem(folder, 'E_IO', `The folder ${folder} cannot be read: ${entries.message}`)
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (this.files.size >= maxFiles) return this.problem(folder, 'E_TOO_LARGE', `The search ended after ${maxFiles} files.`)
      await this.addEntry(join(folder, entry.name), depth)
    }
  }

  private async addEntry(path: string, depth: number): Promise<void> {
    // stat follows links; a dangling one is left out with a note.
    const stats = await stat(path).catch(() => undefined)
    if (!stats) return this.problem(path, 'E_IO', `${path} leads nowhere and was skipped.`)
    if (stats.isDirectory()) return this.addFolder(path, depth + 1)
    if (!stats.isFile()) return
    if (isModelName(path) || (extname(path) === '' && await startsWithMagic(path))) await this.keep(path)
  }

  private async keep(path: string): Promise<void> {
    const first = await firstPart(path)
    this.files.set(await realpath(first).catch(() => first), { path: first, blob: !isModelName(first) })
  }

  private problem(path: string, code: WorkbenchErrorShape['code'], message: string): void {
    this.problems.push({ path, error: new WorkbenchError(code, message).toShape() })
  }
}

// Any part stands for its set.
async function firstPart(path: string): Promise<string> {
  const split = parseSplitName(basename(path))
  if (!split || split.index === 1) return path
  const first = join(dirname(path), `${split.stem}-00001-of-${String(split.count).padStart(5, '0')}.gguf`)
  return await fileStamp(first) ? first : path
}

function isModelName(path: string): boolean { return extname(path).toLowerCase() === '.gguf' }

async function startsWithMagic(path: string): Promise<boolean> {
  try {
    await using file = await open(path)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0)
    return bytesRead === 4 && buffer.toString('latin1') === 'GGUF'
  } catch {
    return false
  }
}
