// One program at a time has a data folder. The lock names it, so that a second one can say
// where the first is, or send the user there.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { WorkbenchError } from '../contract'

const LockHolder = z.object({
  pid: z.number().int(),
  // Where the window of `serve` is, and the file with the token that opens it; absent for Electron.
  url: z.string().optional(),
  tokenPath: z.string().optional(),
})
export type LockHolder = z.infer<typeof LockHolder>

const LockFile = LockHolder.extend({ since: z.number() })

// Throws E_CONFLICT when a living program holds the folder. The holder may take it again: a
// host that is started anew inherits the lock of its supervisor.
export function acquireLock(dataDir: string, holder: LockHolder): () => void {
  mkdirSync(dataDir, { recursive: true })
  const path = lockPath(dataDir)
  for (let attempt = 0; ; attempt++) {
    try {
      writeFileSync(path, JSON.stringify({ ...holder, since: Date.now() }), { flag: 'wx', mode: 0o600 })
      // A host leaves the lock of its supervisor alone.
      return () => { if (holder.pid === process.pid && readLock(dataDir)?.pid === process.pid) rmSync(path, { force: true }) }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 3) throw error
    }
    const other = readLock(dataDir)
    if (other && other.pid !== holder.pid) {
      throw new WorkbenchError('E_CONFLICT', `Another Moebius (process ${other.pid}${other.url ? `, ${other.url}` : ''}) uses ${dataDir}.`, {
        hint: 'Use its window, end it first, or choose another data folder.', detail: { pid: other.pid, ...(other.url && { url: other.url }) },
      })
    }
    // What is there now is our own or stale.
    rmSync(path, { force: true })
  }
}

// The program that has the folder now; undefined when none, or when it is dead.
export function readLock(dataDir: string): LockHolder | undefined {
  let parsed: z.infer<typeof LockFile> | undefined
  try {
    parsed = LockFile.safeParse(JSON.parse(readFileSync(lockPath(dataDir), 'utf8'))).data
  } catch {
    return undefined
  }
  const bootedAt = Date.now() - uptime() * 1000
  // Process numbers are used again after a restart of the machine.
  if (!parsed || parsed.since < bootedAt - 1000 || !isAlive(parsed.pid)) return undefined
  return parsed
}

function lockPath(dataDir: string): string { return join(dataDir, 'host.lock') }

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
