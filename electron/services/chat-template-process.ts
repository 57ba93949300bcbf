// Where chat templates run: a process of its own, for V8 ends a whole process when one operation
// overshoots its limits, and a template is hostile input. It gets its programs as text, reads no
// file and, under Node's permission model, may open none, start nothing and load no addon.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import boundsSource from './chat-template-bounds.cjs?raw'
import workerSource from './chat-template-worker.cjs?raw'

// A running sandbox. The listener hears messages until it hears the end; after end() nothing.
export interface TemplateProcess {
  // undefined: a thread of this process.
  pid: number | undefined
  post(message: unknown): void
  // While it is held, this process waits for it before it exits.
  hold(isHeld: boolean): void
  end(): void
}

export interface TemplateProcessListener {
  message(message: unknown): void
  ended(reason: string): void
}

export interface TemplateProcessLimits { heapMegabytes: number }

const inProcess = `process.on('disconnect', () => process.exit())
process.once('message', ({ program, ...data }) => {
  const host = { data, post: value => process.send(value), onMessage: listener => process.on('message', listener) }
  require('node:vm').compileFunction(program, ['require', 'host'])(require, host)
})`

const inThread = `const { parentPort, workerData: { program, ...data } } = require('node:worker_threads')
const host = { data, post: value => parentPort.postMessage(value), onMessage: listener => parentPort.on('message', listener) }
require('node:vm').compileFunction(program, ['require', 'host'])(require, host)`

// Set once a process ended before it said a word: an Electron build, say, that does not run as Node.
let processesFail = false

// program: the sandbox's own source, replaced by tests.
export function startTemplateProcess(limits: TemplateProcessLimits, listener: TemplateProcessListener, program = workerSource): TemplateProcess {
  const data = { program, bounds: boundsSource, jinja: readFileSync(createRequire(import.meta.url).resolve('@huggingface/jinja'), 'utf8'), limits }
  return processesFail ? startThread(limits, listener, data) : startProcess(limits, listener, data)
}

const isElectron = process.versions.electron !== undefined

function startProcess(limits: TemplateProcessLimits, listener: TemplateProcessListener, data: object): TemplateProcess {
  // As deep as on a thread with 4 MB; the main thread of a Windows program has less.
  const stack = process.platform === 'win32' ? [] : ['--stack-size=3900']
  const confinement = isElectron ? [] : ['--permission']
  const child = spawn(process.execPath, [`--max-old-space-size=${limits.heapMegabytes}`, '--max-semi-space-size=16', ...stack, ...confinement, '-e', inProcess], {
    env: isElectron ? { ELECTRON_RUN_AS_NODE: '1' } : {}, stdio: ['ignore', 'ignore', 'ignore', 'ipc'], serialization: 'advanced', windowsHide: true,
  })
  let current: TemplateProcess | undefined
  let hasSpoken = false
  const end = (reason: string): void => {
    if (!current) return
    current = undefined
    if (!hasSpoken) processesFail = true
    listener.ended(reason)
  }
  child.on('message', message => {
    hasSpoken = true
    if (current) listener.message(message)
  })
  child.on('error', error => end(error.message))
  child.on('exit', (code, signal) => end(exitReason(code, signal)))
  child.send(data, () => {})
  current = {
    pid: child.pid,
    post: message => { child.send(message as object, () => {}) },
    hold: isHeld => {
      child[isHeld ? 'ref' : 'unref']()
      child.channel?.[isHeld ? 'ref' : 'unref']()
    },
    end: () => {
      current = undefined
      child.kill('SIGKILL')
    },
  }
  current.hold(false)
  return current
}

// V8 aborts when its heap or one of its tables is full; on Windows that is a breakpoint.
function exitReason(code: number | null, signal: NodeJS.Signals | null): string {
  const isFull = signal === 'SIGABRT' || signal === 'SIGTRAP' || signal === 'SIGILL' || code === 134 || code === 0x80000003
  return isFull ? 'it needs more memory than its sandbox has' : `its sandbox ended (${signal ?? `code ${code}`})`
}

function startThread(limits: TemplateProcessLimits, listener: TemplateProcessListener, data: object): TemplateProcess {
  const worker = new Worker(inThread, {
    eval: true, env: {}, stdout: true, stderr: true, workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: limits.heapMegabytes, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
  })
  let isCurrent = true
  const end = (reason: string): void => {
    if (isCurrent) listener.ended(reason)
    isCurrent = false
  }
  worker.on('message', message => { if (isCurrent) listener.message(message) })
  worker.on('error', (error: NodeJS.ErrnoException) => end(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'it needs more memory than its sandbox has' : error.message))
  worker.on('exit', () => end('its sandbox ended'))
  worker.unref()
  return {
    pid: undefined,
    post: message => worker.postMessage(message),
    hold: isHeld => worker[isHeld ? 'ref' : 'unref'](),
    end: () => {
      isCurrent = false
      void worker.terminate()
    },
  }
}
