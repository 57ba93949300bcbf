import { mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findModelFiles } from '../../electron/services/model-files'
import { ModelLibrary } from '../../electron/services/model-library'
import { codeOf, fakeModelFile, openWorkplace, temporaryFolder } from './workplace'

test('finds files in folders: split sets as one, blobs by magic, circles and dangling links survived', async () => {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'publisher', 'model'), { recursive: true })
  mkdirSync(join(folder, 'blobs'))
  fakeModelFile(folder, 'b.gguf')
  fakeModelFile(join(folder, 'publisher', 'model'), 'a.GGUF')
  for (const part of [1, 2, 3]) fakeModelFile(folder, `big-0000${part}-of-00003.gguf`)
  fakeModelFile(join(folder, 'blobs'), 'sha256-0123')
  writeFileSync(join(folder, 'blobs', 'sha256-4567'), 'a template')
  writeFileSync(join(folder, 'notes.txt'), 'GGUF')
  symlinkSync(folder, join(folder, 'publisher', 'circle'))
  symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling.gguf'))
  const { files, problems } = await findModelFiles([folder, join(folder, 'big-00002-of-00003.gguf'), join(folder, 'none.gguf'), join(folder, 'notes.txt')])
  expect(files.map(({ path }) => path.slice(folder.length + 1)).sort()).toEqual(['b.gguf', 'big-00001-of-00003.gguf', 'blobs/sha256-0123', 'notes.txt', 'publisher/model/a.GGUF'])
  expect(problems.map(({ path, error }) => [path.slice(folder.length + 1), error.code])).toEqual([['dangling.gguf', 'E_IO'], ['none.gguf', 'E_NOT_FOUND']])
})

test('imports in place, with stable and unique names, over restarts', async () => {
  const { folder, db, engine, log, library } = openWorkplace()
  mkdirSync(join(folder, 'other'))
  const paths = [fakeModelFile(folder, 'Tiny Model (Q4).gguf'), fakeModelFile(join(folder, 'other'), 'tiny-model-q4.gguf')]
  const { imported, problems } = await library.import(paths)
  expect(problems).toEqual([])
  expect(imported.map(({ id, path, state }) => [id, path, state])).toEqual([['tiny-model-q4', paths[0], 'ready'], ['tiny-model-q4-2', paths[1], 'ready']])
  symlinkSync(paths[0] ?? '', join(folder, 'link.gguf'))
  expect((await library.import([join(folder, 'link.gguf')])).imported.map(({ id }) => id)).toEqual(['tiny-model-q4'])
  const again = new ModelLibrary(db, engine, log)
  expect(again.list().map(({ id, state, card }) => [id, state, card?.name])).toEqual([['tiny-model-q4', 'ready', 'Tiny Model (Q4)'], ['tiny-model-q4-2', 'ready', 'tiny-model-q4']])
})

test('broken files stay on the list with the reason, and heal', async () => {
  const { folder, library } = openWorkplace()
  const path = join(folder, 'broken.gguf')
  writeFileSync(path, 'JUNK')
  const { imported, problems } = await library.import([path])
  expect(imported).toMatchObject([{ id: 'broken', state: 'broken', problem: { code: 'E_GGUF', message: expect.stringContaining('at byte 0') as string } }])
  expect(problems.map(({ error }) => error.code)).toEqual(['E_GGUF'])
  writeFileSync(path, 'GGUF now')
  await library.rescan()
  expect(library.require('broken')).toMatchObject({ state: 'ready', problem: undefined })
  rmSync(path)
  await library.rescan()
  expect(library.require('broken')).toMatchObject({ state: 'missing', problem: { code: 'E_NOT_FOUND' } })
  fakeModelFile(folder, 'broken.gguf')
  await library.rescan()
  expect(library.require('broken').state).toBe('ready')
})

test('a rescan reads only headers of changed files', async () => {
  const { folder, db, engine, log, library } = openWorkplace()
  const path = fakeModelFile(folder)
  await library.import([path])
  const inspected: string[] = []
  const again = new ModelLibrary(db, { inspect: file => { inspected.push(file); return engine.inspect(file) } }, log)
  await again.rescan()
  expect(inspected).toEqual([])
  utimesSync(path, 1, 1)
  await again.rescan()
  expect(inspected).toEqual([path])
})

test('the built-in model is first, and stays', async () => {
  const { folder, library } = openWorkplace()
  await library.import([fakeModelFile(folder, 'a.gguf')])
  await library.addBuiltIn(fakeModelFile(folder, 'demo.gguf'))
  expect(library.list().map(({ id, builtIn }) => [id, builtIn])).toEqual([['demo', true], ['a', false]])
  expect(() => library.remove('demo')).toThrow(expect.objectContaining({ code: 'E_CONFLICT' }) as Error)
  library.remove('a')
  expect(library.list().map(({ id }) => id)).toEqual(['demo'])
  expect(() => library.require('a')).toThrow(expect.objectContaining({ code: 'E_MODEL_UNKNOWN', detail: { known: ['demo'] } }) as Error)
  expect(await codeOf(library.inspect('a').catch((error: unknown) => { throw error }))).toBe('E_MODEL_UNKNOWN')
})
