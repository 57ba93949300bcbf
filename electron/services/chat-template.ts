// Renders a model's chat template (Jinja) into a prompt. Templates come with model files and
// are hostile: they run in a process of their own with counted steps, counted memory and bounded time.
// eslint-disable-next-line @typescript-eslint/triple-slash-reference -- every program that includes this file needs the declaration
/// <reference path="./raw-text.d.ts" />
import { WorkbenchError } from '../contract'
import { startTemplateProcess, type TemplateProcess } from './chat-template-process'

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
  // Applied to what came from outside, messages and extra, as plain data.
  mark?: (data: Record<string, unknown>) => Record<string, unknown>
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
  listItems: 250_000,
  // Levels of lists and dictionaries within one value.
  valueDepth: 256,
  outputBytes: 8 * 1024 * 1024,
  // Of each single text, on the way as well as at the end.
  outputCharacters: 8 * 1024 * 1024,
  // Templates whose syntax trees stay in memory, together.
  cachedCharacters: 256 * 1024,
  milliseconds: 2000,
  // Everything a render builds, counted by the sandbox; never given back within a render.
  memoryMegabytes: 192,
  // What the messages and variables of a request may take in the sandbox.
  inputMegabytes: 64,
  inputDepth: 200,
  // No template comes near: V8 ends the whole process when it overshoots.
  heapMegabytes: 1024,
} as const

// A process that does not start at all is not the template's fault.
const startMilliseconds = 30_000

type Reply = { ready: true } | { id: number, text: string } | { id: number, failure: { kind: 'raised' | 'limit' | 'error', message: string } }
interface Job { request: unknown, resolve: (text: string) => void, reject: (error: WorkbenchError) => void, retried: boolean }

// Renders the prompt. Throws E_BAD_REQUEST with the template's own words when it raises, and
// when it is no valid template or crosses a limit.
export async function renderChatTemplate(template: string, input: ChatTemplateInput): Promise<string> {
  if (template.trim() === '') {
    throw new WorkbenchError('E_BAD_REQUEST', 'The model file has no chat template.', { hint: 'Use plain text completion, or a model that was tuned for conversation.' })
  }
  if (template.length > chatTemplateLimits.templateCharacters) {
    throw templateError(`it is longer than ${chatTemplateLimits.templateCharacters} characters`)
  }
  const given = plainData({ ...input.extra, messages: input.messages })
  const variables = { ...(input.mark?.(given) ?? given), add_generation_prompt: input.addGenerationPrompt, bos_token: input.bosToken, eos_token: input.eosToken }
  return sandbox.render({ template, variables, now: (input.now ?? new Date()).getTime() })
}

// A process, and whether it has told that it listens.
interface Sandbox { process: TemplateProcess, isReady: boolean, served: number }

// One warm process; renders are served in turn. A process that fails is replaced at once, and only
// the render it was at fails with it. program: for tests.
export class TemplateSandbox {
  private sandbox: Sandbox | undefined
  private readonly queue: Job[] = []
  private current: Job | undefined
  private timer: NodeJS.Timeout | undefined
  private nextId = 1

  constructor(private readonly limits: { heapMegabytes: number } = chatTemplateLimits, private readonly program?: string) {}

  get pid(): number | undefined { return this.sandbox?.process.pid }

  render(request: Record<string, unknown>): Promise<string> {
    return new Promise((resolve, reject) => {
      this.queue.push({ request: { ...request, id: this.nextId++ }, resolve, reject, retried: false })
      this.next()
    })
  }

  close(): void {
    this.sandbox?.process.end()
    this.sandbox = undefined
  }

  private next(): void {
    if (this.current) return
    this.current = this.queue.shift()
    if (!this.current) return
    const sandbox = this.sandbox ??= this.start()
    sandbox.process.hold(true)
    // The time that the process takes to start is not the template's.
    if (sandbox.isReady) this.begin(sandbox)
    else this.timer = setTimeout(() => this.fail('its sandbox does not start'), startMilliseconds)
  }

  private begin(sandbox: Sandbox): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.expire(this.current), chatTemplateLimits.milliseconds)
    sandbox.process.post(this.current?.request)
  }

  // When this thread was busy, the answer may lie in the queue behind the timer: let it through first.
  private expire(job: Job | undefined): void {
    setImmediate(() => { if (job === this.current) this.fail(`it needs more than ${chatTemplateLimits.milliseconds} ms`) })
  }

  private start(): Sandbox {
    const sandbox: Sandbox = {
      process: startTemplateProcess(this.limits, { message: reply => this.receive(sandbox, reply as Reply), ended: reason => this.end(sandbox, reason) }, this.program),
      isReady: false,
      served: 0,
    }
    return sandbox
  }

  private receive(sandbox: Sandbox, reply: Reply): void {
    if ('ready' in reply) {
      sandbox.isReady = true
      if (this.current) this.begin(sandbox)
      return
    }
    sandbox.served++
    const job = this.finish()
    sandbox.process.hold(false)
    if ('text' in reply) job?.resolve(reply.text)
    else job?.reject(reply.failure.kind === 'raised' ? raisedError(reply.failure.message) : templateError(reply.failure.message))
    this.next()
  }

  // The process ended by itself. What earlier renders left behind, or that it never came up, is not this
  // render's fault: it gets a fresh one once.
  private end(sandbox: Sandbox, reason: string): void {
    if (sandbox !== this.sandbox) return
    const job = this.current
    if (job && (sandbox.served > 0 || !sandbox.isReady) && !job.retried) {
      job.retried = true
      this.finish()
      this.queue.unshift(job)
      this.sandbox = undefined
      this.next()
    } else this.fail(reason)
  }

  private fail(reason: string): void {
    const job = this.finish()
    this.sandbox?.process.end()
    this.sandbox = job ? this.start() : undefined
    job?.reject(templateError(reason))
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
function plainData(value: Record<string, unknown>): Record<string, unknown> {
  let data: Record<string, unknown>
  try {
    data = JSON.parse(JSON.stringify(value)) as Record<string, unknown>
  } catch {
    throw inputError('is nested too deeply or contains itself')
  }
  const budget = { bytes: chatTemplateLimits.inputMegabytes * 1024 * 1024 }
  measure(data, budget, 0)
  return data
}

// Counts what the interpreter takes for each value; throws when the conversation does not fit.
function measure(value: unknown, budget: { bytes: number }, depth: number): void {
  if (depth > chatTemplateLimits.inputDepth) throw inputError(`nests deeper than ${chatTemplateLimits.inputDepth} levels`)
  budget.bytes -= 64 + (typeof value === 'string' ? value.length * 2 : 0)
  if (budget.bytes < 0) throw inputError(`needs more than ${chatTemplateLimits.inputMegabytes} MiB of memory`)
  if (Array.isArray(value)) for (const item of value) measure(item, budget, depth + 1)
  else if (typeof value === 'object' && value !== null) {
    budget.bytes -= 400
    for (const [key, item] of Object.entries(value)) {
      budget.bytes -= 96 + key.length * 2
      measure(item, budget, depth + 1)
    }
  }
}

function inputError(reason: string): WorkbenchError {
  return new WorkbenchError('E_BAD_REQUEST', `The conversation ${reason}.`, { hint: 'Send fewer or shorter messages.' })
}

function templateError(reason: string): WorkbenchError {
  return new WorkbenchError('E_BAD_REQUEST', `The model's chat template cannot be rendered: ${reason}.`, { hint: 'The template comes with the model file. Another build of the model may carry a working one.' })
}

function raisedError(message: string): WorkbenchError {
  return new WorkbenchError('E_BAD_REQUEST', message, { hint: 'The model\'s chat template refuses this conversation.', detail: { source: 'chat-template' } })
}
