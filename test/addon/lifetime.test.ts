// Closing, collecting and shutting down at every bad moment.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { answer, createEngine, demoPath, greedy, greedyCheck, rawAddon, rawAddonPath, rawRequest, wild } from './support'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
const pause = (ms: number): Promise<void> => new Promise(resolve => { setTimeout(resolve, ms) })
const long = { overrides: { 'deepseek2.context_length': '8192' } }
const endless = { tokens: greedyCheck.prompt_ids, maxTokens: 0, sampling: wild, ignoreEndOfGeneration: true }

describe('closing', () => {
  it('a session twice, and using it afterwards', async () => {
    const model = await createEngine().load(demoPath)
    const session = model.createSession({ maxSeqLen: 64, cacheFormat: 'f16' })
    await session.logits([300, 301])
    session.close()
    session.close()
    expect(session.seqLen).toBe(2)
    const closed = { code: 'E_CONFLICT', message: expect.stringContaining('closed') }
    await expect(session.logits([300])).rejects.toMatchObject(closed)
    await expect(answer(session, endless)).rejects.toMatchObject(closed)
    await expect(session.snapshot('/nowhere')).rejects.toMatchObject(closed)
    expect(() => session.drainRouting()).toThrow(expect.objectContaining(closed))
    await model.close()
  })

  it('a model twice, and using it and its sessions afterwards', async () => {
    const model = await createEngine().load(demoPath)
    const session = model.createSession({ maxSeqLen: 64, cacheFormat: 'f16' })
    await Promise.all([model.close(), model.close()])
    await model.close()
    const closed = { code: 'E_CONFLICT', message: expect.stringContaining('closed') }
    expect(() => model.encode('a', { addSpecial: false, parseSpecial: false })).toThrow(expect.objectContaining(closed))
    expect(() => model.createSession({ maxSeqLen: 64, cacheFormat: 'f16' })).toThrow(expect.objectContaining(closed))
    await expect(session.logits([300])).rejects.toMatchObject(closed)
    session.close()
    expect(session.seqLen).toBe(0)
  })

  it('a session while it generates ends the answer as cancelled', async () => {
    const model = await createEngine().load(demoPath, long)
    const session = model.createSession({ maxSeqLen: 8192, cacheFormat: 'f16' })
    const { result } = await answer(session, endless, { onToken: (_, index) => { if (index === 3) session.close() } })
    expect(result.stopReason).toBe('cancelled')
    await expect(session.logits([300])).rejects.toMatchObject({ code: 'E_CONFLICT' })
    await model.close()
  })

  it('a model while its sessions generate and evaluate', async () => {
    const model = await createEngine().load(demoPath, long)
    const sessions = Array.from({ length: 4 }, () => model.createSession({ maxSeqLen: 8192, cacheFormat: 'f16' }))
    const answers = sessions.slice(0, 3).map(session => answer(session, endless))
    const logits = sessions[3]!.logits(Array.from({ length: 8000 }, () => 300))
    const refused = expect(logits).rejects.toMatchObject({ code: 'E_CANCELLED' })
    await pause(15)
    const start = performance.now()
    await model.close()
    expect(performance.now() - start).toBeLessThan(5000)
    expect((await Promise.all(answers)).map(each => each.result.stopReason)).toEqual(['cancelled', 'cancelled', 'cancelled'])
    await refused
  })

  it('refuses a second call on a busy session, and takes it when the first is done', async () => {
    const model = await createEngine().load(demoPath, long)
    const session = model.createSession({ maxSeqLen: 8192, cacheFormat: 'f16' })
    const controller = new AbortController()
    const first = answer(session, endless, { signal: controller.signal })
    const busy = { code: 'E_CONFLICT', message: expect.stringContaining('busy') }
    await expect(answer(session, endless)).rejects.toMatchObject(busy)
    await expect(session.logits([300])).rejects.toMatchObject(busy)
    await expect(session.snapshot('/nowhere')).rejects.toMatchObject(busy)
    controller.abort()
    await first
    for (let i = 0; i < 50; i++) await answer(session, { ...endless, maxTokens: 1, sampling: greedy })
    await model.close()
  })
})

describe('memory', () => {
  // A leak would be: a session's first page of cache for each layer, 16 KiB and more; a
  // model's 12 MB of mapped weights and its threads.
  it.each([
    { cycle: 'session', warmUp: 300, count: 1000 },
    { cycle: 'orphan session', warmUp: 300, count: 1000 },
    { cycle: 'failure', warmUp: 300, count: 1000 },
    { cycle: 'model', warmUp: 20, count: 60 },
    { cycle: 'orphan model', warmUp: 20, count: 60 },
  ])('does not grow over $count times: $cycle', async ({ cycle, warmUp, count }) => {
    const script = join(import.meta.dirname, 'leak-cycles.mjs')
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, rawAddonPath(), demoPath, cycle, String(warmUp), String(count)])
    expect(Number(stdout)).toBeLessThan(12 * 2 ** 20)
  }, 120_000)

  it('outlives the model\'s handle while a session needs it', async () => {
    const addon = rawAddon()
    const open = async (): Promise<ReturnType<typeof addon.createSession>> => addon.createSession(await addon.loadModel(demoPath, {}), 64, 'f32')
    const session = await open()
    for (let i = 0; i < 3; i++) {
      collectGarbage()
      await pause(10)
    }
    expect(await addon.logits(session, Int32Array.of(300))).toHaveLength(4096)
  })
})

const workerCode = `
  const { parentPort, workerData } = require('node:worker_threads')
  const addon = require(workerData.addon)
  const request = workerData.request
  addon.loadModel(workerData.model, { threads: 1, overrides: { 'deepseek2.context_length': '8192' } }).then(model => {
    const session = addon.createSession(model, 8192, 'f16')
    const other = addon.createSession(model, 8192, 'f16')
    let reported = false
    addon.generate(session, request, () => {
      if (reported) return
      reported = true
      parentPort.postMessage('running')
      if (workerData.ending === 'exit') setTimeout(() => process.exit(0), workerData.delay)
      if (workerData.ending === 'throw') setTimeout(() => { throw new Error('worker failed') }, workerData.delay)
    })
    addon.logits(other, new Int32Array(8000).fill(300)).catch(() => undefined)
    if (workerData.ending === 'loading') for (let i = 0; i < 8; i++) addon.loadModel(workerData.model, {})
  })`

describe('an environment that goes down', () => {
  it.each(['terminate', 'exit', 'throw', 'loading'])('while a worker thread generates: %s', async ending => {
    const request = rawRequest(greedyCheck.prompt_ids, -1)
    for (let i = 0; i < 4; i++) {
      const worker = new Worker(workerCode, { eval: true, workerData: { addon: rawAddonPath(), model: demoPath, request, ending, delay: i * 7 } })
      const ended = new Promise(resolve => { worker.once('exit', resolve) })
      worker.on('error', () => undefined)
      await new Promise(resolve => { worker.once('message', resolve) })
      if (ending === 'terminate' || ending === 'loading') {
        await pause(i * 7)
        void worker.terminate()
      }
      await ended
    }
    // The thread that goes on is not disturbed.
    const model = await createEngine().load(demoPath, { exact: true })
    const { ids } = await answer(model.createSession({ maxSeqLen: 64, cacheFormat: 'f32' }), {
      tokens: greedyCheck.prompt_ids, maxTokens: 24, sampling: greedy, ignoreEndOfGeneration: true,
    })
    expect(ids).toEqual(greedyCheck.continuation_ids)
    await model.close()
  })

  it.each([
    ['process.exit while generating', 'setTimeout(() => process.exit(7), 20)', 7],
    ['an uncaught exception from the callback', '', 1],
    ['nothing left to do', 'setTimeout(() => addon.cancel(cancel), 20)', 0],
  ])('the whole process: %s', async (name, action, code) => {
    const script = `
      const addon = require(${JSON.stringify(rawAddonPath())})
      const request = ${JSON.stringify({ ...rawRequest([], -1), tokens: undefined, stopIds: undefined, logitBiasIds: undefined, logitBiases: undefined })}
      Object.assign(request, { tokens: Int32Array.from(${JSON.stringify(greedyCheck.prompt_ids)}), stopIds: new Int32Array(), logitBiasIds: new Int32Array(), logitBiases: new Float32Array() })
      const cancel = addon.createCancel()
      addon.loadModel(${JSON.stringify(demoPath)}, { overrides: { 'deepseek2.context_length': '8192' } }).then(model => {
        const session = addon.createSession(model, 8192, 'f16')
        addon.generate(session, request, () => { ${name.startsWith('an uncaught') ? "throw new Error('callback failed')" : ''} }, cancel)
        ${action}
      })`
    const outcome = await promisify(execFile)(process.execPath, ['-e', script], { timeout: 20_000 })
      .then(() => ({ code: 0, signal: null, stderr: '' }), (error: { code: number, signal: string | null, stderr: string }) => error)
    expect({ code: outcome.code, signal: outcome.signal }).toEqual({ code, signal: null })
    if (code === 1) expect(outcome.stderr).toContain('callback failed')
  })
})
