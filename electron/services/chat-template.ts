// Renders a model's chat template (Jinja) into a prompt. Templates come with model files and
// are hostile: they run in a worker thread with counted steps, bounded time and bounded heap.
// eslint-disable-next-line @typescript-eslint/triple-slash-reference -- every program that includes this file needs the declaration
/// <reference path="./raw-text.d.ts" />
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { WorkbenchError } from '../contract'
import workerSource from './chat-template-worker.cjs?raw'

export interface TemplateMessage {
  role: string
  content: string
  // Further fields a template may read: name, tool_calls, reasoning_content.
  [field: string]: unknown
}

export interface ChatTemplateInput {
  messages: TemplateMessage[]
  addGenerationPrompt: boolean
  bosToken: string
  eosToken: string
  // Further variables: tools, documents, enable_thinking.
  extra?: Record<string, unknown>
  // The time strftime_now tells; the present when absent.
  now?: Date
}

export const chatTemplateLimits = {
  templateCharacters: 1_000_000,
  steps: 1_000_000,
  // Calls of macros within macros.
  callDepth: 64,
  // Nested nodes of the syntax tree over all calls; keeps the native stack far from its end.
  depth: 1024,
  rangeLength: 100_000,
  listItems: 1_000_000,
  outputBytes: 8 * 1024 * 1024,
  outputCharacters: 8 * 1024 * 1024,
  milliseconds: 2000,
  heapMegabytes: 192,
} as const

type Reply = { id: number, text: string } | { id: number, failure: { kind: 'raised' | 'limit' | 'error', message: string } }
interface Job { request: unknown, resolve: (text: string) => void, reject: (error: WorkbenchError) => void }

// Renders the prompt. Throws E_BAD_REQUEST with the template's own words when it raises, and
// when it is no valid template or crosses a limit.
export function renderChatTemplate(template: string, input: ChatTemplateInput): Promise<string> {
  if (template.trim() === '') {
    return Promise.reject(new WorkbenchError('E_BAD_REQUEST', 'The model file has no chat template.', { hint: 'Use plain text completion, or a model that was tuned for conversation.' }))
  }
  if (template.length > chatTemplateLimits.templateCharacters) {
    return Promise.reject(templateError(`it is longer than ${chatTemplateLimits.templateCharacters} characters`))
  }
  const variables = {
    ...input.extra,
    messages: input.messages,
    add_generation_prompt: input.addGenerationPrompt,
    bos_token: input.bosToken,
    eos_token: input.eosToken,
  }
  return sandbox.render({ template, variables: plainData(variables), now: (input.now ?? new Date()).getTime() })
}

// One warm worker; renders are serial. A worker that runs out of time or heap is replaced.
class TemplateSandbox {
  private worker: Worker | undefined
  private readonly queue: Job[] = []
  private current: Job | undefined
  private timer: NodeJS.Timeout | undefined
  private nextId = 1

  render(request: Record<string, unknown>): Promise<string> {
    return new Promise((resolve, reject) => {
      this.queue.push({ request: { ...request, id: this.nextId++ }, resolve, reject })
      this.next()
    })
  }

  private next(): void {
    if (this.current) return
    this.current = this.queue.shift()
    if (!this.current) return
    const worker = this.worker ??= this.start()
    worker.ref()
    this.timer = setTimeout(() => this.fail(`it needs more than ${chatTemplateLimits.milliseconds} ms`), chatTemplateLimits.milliseconds)
    worker.postMessage(this.current.request)
  }

  private start(): Worker {
    const worker = new Worker(workerSource, {
      eval: true,
      env: {},
      stdout: true,
      stderr: true,
      workerData: { jinja: createRequire(import.meta.url).resolve('@huggingface/jinja'), limits: chatTemplateLimits },
      resourceLimits: { maxOldGenerationSizeMb: chatTemplateLimits.heapMegabytes, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
    })
    worker.on('message', (reply: Reply) => { if (worker === this.worker) this.settle(reply) })
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (worker !== this.worker) return
      this.fail(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? `it needs more than ${chatTemplateLimits.heapMegabytes} MiB of memory` : error.message)
    })
    worker.on('exit', () => { if (worker === this.worker) this.fail('its worker ended') })
    return worker
  }

  private settle(reply: Reply): void {
    const job = this.finish()
    this.worker?.unref()
    if ('text' in reply) job?.resolve(reply.text)
    else job?.reject(reply.failure.kind === 'raised' ? raisedError(reply.failure.message) : templateError(reply.failure.message))
    this.next()
  }

  private fail(reason: string): void {
    const worker = this.worker
    this.worker = undefined
    void worker?.terminate()
    this.finish()?.reject(templateError(reason))
    this.next()
  }

  private finish(): Job | undefined {
    clearTimeout(this.timer)
    const job = this.current
    this.current = undefined
    return job
  }
}

const sandbox = new TemplateSandbox()

// Only data crosses into the sandbox: no functions, no class instances, no undefined.
function plainData(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function templateError(reason: string): WorkbenchError {
  return new WorkbenchError('E_BAD_REQUEST', `The model's chat template cannot be rendered: ${reason}.`, { hint: 'The template comes with the model file. Another build of the model may carry a working one.' })
}

function raisedError(message: string): WorkbenchError {
  return new WorkbenchError('E_BAD_REQUEST', message, { hint: 'The model\'s chat template refuses this conversation.', detail: { source: 'chat-template' } })
}
