import { beforeEach, expect, it } from 'vitest'
import { WorkbenchError } from '../../electron/contract'
import { useImportStore } from '../../renderer/stores/importing'
import { useModelStore } from '../../renderer/stores/models'
import type { FakeWorkbench } from './fake-workbench'
import { broken, demo, large } from './sample-data'
import { startFake } from './support'

let fake: FakeWorkbench
beforeEach(() => { fake = startFake() })

it('prefers the model used last, else a loaded one, else any that runs', async () => {
  const models = useModelStore()
  expect(models.usable.map(({ id }) => id)).toEqual([demo.id, large.id])
  expect(models.preferred?.id).toBe(demo.id)
  fake.set('settings', { lastModelId: large.id })
  expect(models.preferred?.id).toBe(large.id)
  fake.set('settings', { lastModelId: broken.id })
  await models.load(demo.id)
  expect(models.preferred?.id).toBe(demo.id)
})

it('keeps why a model did not load, and loads anyway when told', async () => {
  fake.on('models.load', ({ force }: { force?: boolean }) => {
    if (!force) throw new WorkbenchError('E_MEMORY', 'It needs 381 GiB; 17.7 GiB are free.')
    return { instanceId: 'i1' }
  })
  const models = useModelStore()
  expect(await models.load(large.id)).toBe(false)
  expect(models.failure).toMatchObject({ modelId: large.id, error: { code: 'E_MEMORY' } })
  expect(await models.load(large.id, { force: true })).toBe(true)
  expect(models.failure).toBeUndefined()
})

it('says nothing of a load that was cancelled', async () => {
  fake.on('models.load', () => { throw new WorkbenchError('E_CANCELLED', 'cancelled') })
  const models = useModelStore()
  expect(await models.load(demo.id)).toBe(false)
  expect(models.failure).toBeUndefined()
  models.cancelLoad(demo.id)
  await Promise.resolve()
  expect(fake.calls.at(-1)).toEqual({ method: 'models.unload', params: { modelId: demo.id } })
})

it('imports dropped files by path, and offers the host\'s folders where there is none', async () => {
  const importing = useImportStore()
  fake.on('models.import', ({ paths }: { paths: string[] }) => ({ imported: [demo], problems: paths.slice(1).map(path => ({ path, error: broken.problem })) }))
  const files = [new File(['x'], 'a.gguf'), new File(['x'], 'b.gguf')]
  await importing.drop(files)
  expect(importing.browser).toEqual({ open: true, droppedNames: ['a.gguf', 'b.gguf'] })
  expect(fake.calls.some(({ method }) => method === 'models.import')).toBe(false)

  fake.pathForFile = file => `/models/${file.name}`
  await importing.drop(files)
  expect(fake.calls.at(-1)).toEqual({ method: 'models.import', params: { paths: ['/models/a.gguf', '/models/b.gguf'] } })
  expect(importing.problems).toMatchObject([{ path: '/models/b.gguf', error: { code: 'E_GGUF' } }])
  fake.on('models.remove', () => ({}))
  await importing.undoImport()
  expect(fake.calls.at(-1)).toEqual({ method: 'models.remove', params: { modelId: demo.id } })
})
