// The host process by itself, over the fake engine: how it ends.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { exitCodes } from '../../electron/host/exit-causes'
import type { FromHost, ToHost } from '../../electron/host/host-messages'
import { readLock } from '../../electron/host/lock-file'
import { bundleFakeHost } from '../tools/bundle-host'
import { temporaryFolder } from '../services/workplace'

let hostModule = ''
beforeAll(async () => { hostModule = await bundleFakeHost() })
afterAll(() => rmSync(dirname(hostModule), { recursive: true, force: true }))
const children: ChildProcess[] = []
afterEach(() => { for (const child of children.splice(0)) child.kill('SIGKILL') })

async function startChild(dataDir: string, pid = process.pid): Promise<{ child: ChildProcess, first: FromHost, post(message: ToHost): void }> {
  const child = fork(hostModule, [], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  children.push(child)
  const post = (message: ToHost): void => { child.send(message) }
  post({ type: 'start', options: { kind: 'serve', dataDir, holder: { pid }, notices: [] } })
  const [first] = await once(child, 'message') as [FromHost]
  return { child, first, post }
}
const closedCleanly = (dataDir: string): string => {
  const database = new DatabaseSync(join(dataDir, 'moebius.sqlite'), { readOnly: true })
  const row = database.prepare("SELECT value FROM meta WHERE key = 'closed_cleanly'").get()
  database.close()
  return String(row?.value)
}

test('it does not outlive its supervisor, and closes its database first', async () => {
  const dataDir = temporaryFolder()
  const { child, first } = await startChild(dataDir)
  expect(first).toEqual({ type: 'ready' })
  child.disconnect()
  expect(await once(child, 'exit')).toEqual([exitCodes.orphaned, null])
  expect(closedCleanly(dataDir)).toBe('1')
})

test('asked to end, it ends well; SIGINT of a terminal is left to the supervisor', async () => {
  const dataDir = temporaryFolder()
  const { child, post } = await startChild(dataDir)
  child.kill('SIGINT')
  post({ type: 'ping' })
  expect((await once(child, 'message'))[0]).toEqual({ type: 'pong' })
  post({ type: 'stop' })
  expect(await once(child, 'exit')).toEqual([exitCodes.ok, null])
  expect(closedCleanly(dataDir)).toBe('1')
})

test('a data folder that another program holds is a refusal with its reason', async () => {
  const dataDir = temporaryFolder()
  await startChild(dataDir)
  const { child, first } = await startChild(dataDir, 1)
  expect(first).toMatchObject({ type: 'failed', error: { code: 'E_CONFLICT' } })
  expect(await once(child, 'exit')).toEqual([exitCodes.startFailed, null])
  expect(readLock(dataDir)?.pid).toBe(process.pid)
})
