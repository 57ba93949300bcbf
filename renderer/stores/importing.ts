import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'
import type { CallOut, Contract, ShellContract, WorkbenchErrorShape } from '../../electron/contract'
import { toShape } from '../api/client-workbench'
import { workbench } from '../api/workbench'
import { useConnectionStore } from './connection'
import { useModelStore } from './models'

export type Folder = CallOut<ShellContract, 'shell.browse'>
export type ImportResult = CallOut<Contract, 'models.import'>
export type ImportProblem = ImportResult['problems'][number]

// Ways for a file to become a model: dropped, picked in a dialog, found in the host's folders.
export const useImportStore = defineStore('importing', () => {
  const connection = useConnectionStore()
  const models = useModelStore()
  const busy = ref(false)
  const problems = shallowRef<ImportProblem[]>([])
  const lastResult = shallowRef<ImportResult>()
  const browser = ref<{ open: boolean, droppedNames: string[] }>({ open: false, droppedNames: [] })

  async function importPaths(paths: string[]): Promise<void> {
    if (paths.length === 0) return
    busy.value = true
    try {
      const result = await models.import(paths)
      lastResult.value = result
      problems.value = result.problems
    } catch (error) {
      problems.value = paths.map(path => ({ path, error: toShape(error) as WorkbenchErrorShape }))
    } finally {
      busy.value = false
    }
  }

  async function drop(files: File[]): Promise<void> {
    const paths = files.map(file => workbench().pathForFile(file)).filter(path => path !== undefined)
    if (paths.length > 0) await importPaths(paths)
    else if (files.length > 0) browser.value = { open: true, droppedNames: files.map(file => file.name) }
  }

  async function pick(folder = false): Promise<void> {
    if (!connection.capabilities.pickFile) { browser.value = { open: true, droppedNames: [] }; return }
    const { paths } = await workbench().shell('shell.pickModel', { folder })
    await importPaths(paths)
  }

  async function undoImport(): Promise<void> {
    for (const model of lastResult.value?.imported ?? []) await models.remove(model.id)
  }

  return {
    busy, problems, lastResult, browser, importPaths, drop, pick, undoImport,
    browse: (path?: string): Promise<Folder> => workbench().shell('shell.browse', path === undefined ? {} : { path }),
    closeBrowser: () => { browser.value = { open: false, droppedNames: [] } },
    dismissProblems: () => { problems.value = [] },
  }
})
