import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { acquireLock, readLock } from '../../electron/host/lock-file'
import { defaultDataDir } from '../../electron/host/places'
import { temporaryFolder } from '../services/workplace'

test('one living program at a time; the dead leave nothing behind', async () => {
  const folder = join(temporaryFolder(), 'data')
  const other = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'])
  const release = acquireLock(folder, { pid: process.pid, url: 'http://127.0.0.1:1', tokenPath: '/t' })
  expect(readLock(folder)).toMatchObject({ pid: process.pid, url: 'http://127.0.0.1:1', tokenPath: '/t' })
  expect(() => acquireLock(folder, { pid: other.pid ?? 0 })).toThrow(expect.objectContaining({ code: 'E_CONFLICT', message: expect.stringContaining('http://127.0.0.1:1') as string }) as Error)
  // Its own holder may take it again, as a restarted host does.
  acquireLock(folder, { pid: process.pid })
  release()
  expect(existsSync(join(folder, 'host.lock'))).toBe(false)
  const keep = acquireLock(folder, { pid: other.pid ?? 0 })
  keep() // not ours to release
  expect(() => acquireLock(folder, { pid: process.pid })).toThrow('uses')
  other.kill('SIGKILL')
  await once(other, 'exit')
  expect(readLock(folder)).toBeUndefined()
  acquireLock(folder, { pid: process.pid })()
})

test('a lock from before the machine was started, or of no sense, is stale', () => {
  const folder = temporaryFolder()
  writeFileSync(join(folder, 'host.lock'), JSON.stringify({ pid: 1, since: 0 }))
  expect(readLock(folder)).toBeUndefined()
  writeFileSync(join(folder, 'host.lock'), '{"pid":')
  expect(readLock(folder)).toBeUndefined()
  acquireLock(folder, { pid: process.pid })
  expect(JSON.parse(readFileSync(join(folder, 'host.lock'), 'utf8'))).toMatchObject({ pid: process.pid })
})

test('the data folder is where each platform expects it', () => {
  const at = (platform: string, variables: Record<string, string> = {}): string => defaultDataDir({ platform, home: '/home/a', variables })
  expect(at('linux')).toBe('/home/a/.local/share/moebius')
  expect(at('linux', { XDG_DATA_HOME: '/x' })).toBe('/x/moebius')
  expect(at('darwin')).toBe('/home/a/Library/Application Support/moebius')
  expect(at('win32', { LOCALAPPDATA: '/l' })).toBe('/l/moebius')
  expect(at('linux', { MOEBIUS_DATA_DIR: '/d', XDG_DATA_HOME: '/x' })).toBe('/d')
})
