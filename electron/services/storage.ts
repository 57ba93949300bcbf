// The one database of a data folder, behind a small interface so that services do not know its
// driver. Calls are synchronous: short statements only, and none per token.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { WorkbenchError } from '../contract'
import { migrations } from './migrations'

export type SqlValue = string | number | bigint | Uint8Array | null
export type Row = Record<string, SqlValue>

export interface Statement {
  run(...values: SqlValue[]): { changes: number }
  get(...values: SqlValue[]): Row | undefined
  all(...values: SqlValue[]): Row[]
}

export interface Db {
  exec(sql: string): void
  prepare(sql: string): Statement
  // Rolls back when `work` throws. Transactions do not nest.
  transaction<T>(work: () => T): T
  // False when the program that had the database open before did not close it.
  readonly closedCleanly: boolean
  close(): void
}

const keptBackups = 5

// Opens or creates the database and brings it to the newest version. Throws E_VERSION for a
// database of a newer program and E_IO for one that is damaged.
export function openStorage(path: string, steps: readonly string[] = migrations): Db {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true })
  const database = openDatabase(path)
  try {
    database.exec('PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=5000')
    migrate(database, path, steps)
    const closedCleanly = readMeta(database, 'closed_cleanly') !== '0'
    if (!closedCleanly) checkIntegrity(database, path)
    writeMeta(database, 'closed_cleanly', '0')
    return wrap(database, closedCleanly)
  } catch (error) {
    database.close()
    throw error instanceof WorkbenchError ? error : damaged(path, error)
  }
}

function openDatabase(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path)
  } catch (error) {
    throw damaged(path, error)
  }
}

function wrap(database: DatabaseSync, closedCleanly: boolean): Db {
  const prepared = new Map<string, Statement>()
  const prepare = (sql: string): Statement => {
    let statement = prepared.get(sql)
    if (!statement) {
      const native = database.prepare(sql)
      statement = {
        run: (...values) => ({ changes: Number(guard(() => native.run(...values)).changes) }),
        get: (...values) => guard(() => native.get(...values)),
        all: (...values) => guard(() => native.all(...values)),
      }
      prepared.set(sql, statement)
    }
    return statement
  }
  return {
    exec: sql => guard(() => database.exec(sql)),
    prepare,
    closedCleanly,
    transaction(work) {
      guard(() => database.exec('BEGIN IMMEDIATE'))
      try {
        const result = work()
        guard(() => database.exec('COMMIT'))
        return result
      } catch (error) {
        database.exec('ROLLBACK')
        throw error
      }
    },
    close() {
      if (!database.isOpen) return
      writeMeta(database, 'closed_cleanly', '1')
      database.close()
    },
  }
}

function migrate(database: DatabaseSync, path: string, steps: readonly string[]): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version ?? 0)
  if (version > steps.length) {
    throw new WorkbenchError('E_VERSION', `The database ${path} was written by a newer Moebius (its version is ${version}, this program knows ${steps.length}).`, {
      hint: 'Update this program, or choose another data folder. The database was not changed.',
    })
  }
  if (version === steps.length) return
  if (version > 0 && path !== ':memory:') backUp(database, path, version)
  for (let next = version; next < steps.length; next++) {
    database.exec('BEGIN IMMEDIATE')
    try {
      database.exec(steps[next] ?? '')
      database.exec(`PRAGMA user_version = ${next + 1}`)
      database.exec('COMMIT')
    } catch (error) {
      database.exec('ROLLBACK')
      throw error
    }
  }
}

// A copy beside the database, before its tables change; the newest few are kept.
function backUp(database: DatabaseSync, path: string, version: number): void {
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-')
  database.prepare('VACUUM INTO ?').run(`${path}.v${version}.${stamp}.backup`)
  const folder = dirname(path)
  const backups = readdirSync(folder).filter(name => name.startsWith(`${basename(path)}.v`) && name.endsWith('.backup'))
  const age = (name: string): string => name.split('.').at(-2) ?? ''
  for (const old of backups.sort((a, b) => (age(a) < age(b) ? -1 : 1)).slice(0, -keptBackups)) rmSync(join(folder, old))
}

function checkIntegrity(database: DatabaseSync, path: string): void {
  const findings = database.prepare('PRAGMA integrity_check(5)').all().map(row => String(Object.values(row)[0]))
  if (findings.join() !== 'ok') throw damaged(path, findings.join('; '))
}

function readMeta(database: DatabaseSync, key: string): string | undefined {
  const row = database.prepare('SELECT value FROM meta WHERE key = ?').get(key)
  return row === undefined ? undefined : String(row.value)
}

function writeMeta(database: DatabaseSync, key: string, value: string): void {
  database.prepare('INSERT INTO meta(key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value').run(key, value)
}

function guard<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const full = error instanceof Error && /disk is full|SQLITE_FULL/i.test(error.message)
    if (!full) throw error
    throw new WorkbenchError('E_DISK_FULL', 'The disk that holds the database is full; the last change was not saved.', { hint: 'Free some space and try again.' })
  }
}

function damaged(path: string, cause: unknown): WorkbenchError {
  const backup = existsSync(dirname(path)) && readdirSync(dirname(path)).some(name => name.endsWith('.backup'))
  return new WorkbenchError('E_IO', `The database ${path} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`, {
    hint: backup ? 'Move the file away; a backup lies beside it.' : 'Move the file away to start with an empty one.',
  })
}
