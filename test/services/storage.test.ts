import { copyFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { migrations } from '../../electron/services/migrations'
import { openStorage } from '../../electron/services/storage'
import { SettingsService, defaultSettings } from '../../electron/services/settings'
import { temporaryFolder } from './workplace'

test('creates, keeps and reopens; transactions roll back', () => {
  const path = join(temporaryFolder(), 'sub', 'a.sqlite')
  const db = openStorage(path)
  expect(db.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
  expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: migrations.length })
  db.prepare('INSERT INTO setting(key, value) VALUES (?, ?)').run('a', '1')
  expect(() => db.transaction(() => {
    db.prepare('INSERT INTO setting(key, value) VALUES (?, ?)').run('b', '2')
    throw new Error('no')
  })).toThrow('no')
  db.close()
  const again = openStorage(path)
  expect(again.closedCleanly).toBe(true)
  expect(again.prepare('SELECT key FROM setting').all()).toEqual([{ key: 'a' }])
  again.close()
})

test('an unclean end is noticed and the file is checked', () => {
  const folder = temporaryFolder()
  const path = join(folder, 'a.sqlite')
  const db = openStorage(path)
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  // What a crash leaves behind: the file as it is while it is open.
  const copy = join(folder, 'b.sqlite')
  copyFileSync(path, copy)
  db.close()
  const crashed = openStorage(copy)
  expect(crashed.closedCleanly).toBe(false)
  crashed.close()
})

test('a newer database and a damaged one are refused with reason, and not touched', () => {
  const folder = temporaryFolder()
  const newer = join(folder, 'newer.sqlite')
  const raw = new DatabaseSync(newer)
  raw.exec(`PRAGMA user_version = ${migrations.length + 7}`)
  raw.close()
  expect(() => openStorage(newer)).toThrow(expect.objectContaining({ code: 'E_VERSION', message: expect.stringContaining('newer Moebius') as string }) as Error)
  const broken = join(folder, 'broken.sqlite')
  writeFileSync(broken, 'this is no database at all, but long enough to look like one. '.repeat(100))
  expect(() => openStorage(broken)).toThrow(expect.objectContaining({ code: 'E_IO', hint: expect.stringContaining('Move the file away') as string }) as Error)
})

test('a migration is preceded by a copy, of which the last five stay; a failing one changes nothing', () => {
  const folder = temporaryFolder()
  const path = join(folder, 'a.sqlite')
  const steps = [...migrations]
  openStorage(path, steps).close()
  for (let i = 1; i <= 7; i++) {
    steps.push(`CREATE TABLE added_${i} (x INTEGER) STRICT`)
    openStorage(path, steps).close()
  }
  const backups = readdirSync(folder).filter(name => name.endsWith('.backup')).map(name => name.split('.')[2]).sort()
  expect(backups).toEqual([2, 3, 4, 5, 6].map(added => `v${migrations.length + added}`))
  expect(() => openStorage(path, [...steps, 'CREATE TABLE half (x INTEGER); CREATE TABLE added_1 (x INTEGER)'])).toThrow('added_1')
  const db = openStorage(path, steps)
  expect(db.prepare("SELECT name FROM sqlite_schema WHERE name = 'half'").all()).toEqual([])
  db.close()
})

test('settings survive, and one unreadable value costs only itself', () => {
  const path = join(temporaryFolder(), 'a.sqlite')
  const db = openStorage(path)
  const settings = new SettingsService(db)
  const seen: string[] = []
  settings.onDidChange.on(({ theme }) => seen.push(theme))
  settings.update({ theme: 'dark', serverPort: 8000 })
  expect(() => settings.update({ serverPort: 5 })).toThrow()
  db.prepare('UPDATE setting SET value = ? WHERE key = ?').run('"purple"', 'theme')
  db.prepare('INSERT INTO setting(key, value) VALUES (?, ?), (?, ?)').run('unknown', '1', 'locale', '{')
  const again = new SettingsService(db)
  expect(again.value).toEqual({ ...defaultSettings, serverPort: 8000 })
  expect(again.reset()).toEqual(defaultSettings)
  expect(seen).toEqual(['dark'])
  db.close()
})
