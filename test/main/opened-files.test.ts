import { EventEmitter } from 'node:events'
import type { App } from 'electron'
import { describe, expect, it } from 'vitest'
import { OpenedFiles } from '../../electron/main/opened-files'

function opened(): { app: EventEmitter, files: OpenedFiles, taken: string[][] } {
  const app = new EventEmitter()
  return { app, files: new OpenedFiles(app as unknown as App), taken: [] }
}

describe('files handed over by the system', () => {
  it('are kept until someone takes them, and delivered at once after that', () => {
    const { app, files, taken } = opened()
    let prevented = 0
    app.emit('open-file', { preventDefault: () => prevented++ }, '/models/early.gguf')
    files.deliver(paths => taken.push(paths))
    app.emit('open-file', { preventDefault: () => prevented++ }, '/models/late.gguf')
    expect(taken).toEqual([['/models/early.gguf'], ['/models/late.gguf']])
    expect(prevented).toBe(2)
  })

  it('come from a second start only in the expected shape, and only as models', () => {
    const { files, taken } = opened()
    files.deliver(paths => taken.push(paths))
    files.fromSecondInstance({ paths: ['/a.gguf', '/etc/passwd'] })
    files.fromSecondInstance({ paths: [1] })
    files.fromSecondInstance('nonsense')
    expect(taken).toEqual([['/a.gguf']])
  })
})
