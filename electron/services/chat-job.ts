// One answer under way: collects it, saves it now and then, and tells any number of watchers.
import { WorkbenchError, type ChatEvent, type Message, type WorkbenchErrorShape } from '../contract'
import type { ConversationService } from './conversations'
import type { InferenceEvents, InferenceOutcome } from './inference'

const saveEveryMs = 500

type StatsEvent = Extract<ChatEvent, { type: 'stats' }>
type ProgressEvent = Extract<ChatEvent, { type: 'prompt-progress' }>

export class ChatJob {
  readonly conversationId: string
  readonly messageId: string
  readonly events: InferenceEvents
  failure: WorkbenchErrorShape | undefined
  ended: Promise<void> = Promise.resolve()
  private readonly abort = new AbortController()
  private readonly watchers = new Set<() => void>()
  private content = ''
  private reasoning = ''
  private reasoningMs: number | undefined
  private progress: ProgressEvent | undefined
  private stats: StatsEvent | undefined
  private final: ChatEvent | undefined
  private savedAt = performance.now()

  constructor(readonly id: string, private message: Message, private readonly conversations: ConversationService) {
    this.conversationId = message.conversationId
    this.messageId = message.id
    this.events = {
      onPromptProgress: (processed, total, cached) => this.note(() => { this.progress = { type: 'prompt-progress', processed, total, cached } }),
      onReasoning: text => this.note(() => { this.reasoning += text }),
      onReasoningEnd: reasoningMs => this.note(() => { this.reasoningMs = reasoningMs }),
      onContent: text => this.note(() => { this.content += text }),
      onStats: stats => this.note(() => { this.stats = { type: 'stats', stats } }),
    }
  }

  get done(): boolean { return this.final !== undefined }

  stop(): void { this.abort.abort() }

  // The answer as it stands.
  current(): Message {
    return { ...this.message, content: this.content, reasoning: this.reasoning, reasoningMs: this.reasoningMs ?? 0 }
  }

  run(generate: (signal: AbortSignal) => Promise<InferenceOutcome>): void {
    // In a later turn, so that the caller hears of the job before anything happens.
    this.ended = Promise.resolve().then(() => generate(this.abort.signal)).then(
      ({ stats }) => this.finish({ state: 'complete', stats }),
      (error: unknown) => this.fail(error),
    )
  }

  // Text that came while a watcher was busy reaches it in one piece.
  async* watch(signal: AbortSignal): AsyncGenerator<ChatEvent> {
    let wake = (): void => {}
    const watcher = (): void => wake()
    this.watchers.add(watcher)
    signal.addEventListener('abort', watcher)
    const seen = { content: 0, reasoning: 0, reasoningEnd: false, progress: undefined as ProgressEvent | undefined, stats: undefined as StatsEvent | undefined }
    try {
      yield { type: 'start', conversationId: this.conversationId, messageId: this.messageId }
      while (!signal.aborted) {
        const changed = new Promise<void>(resolve => { wake = resolve })
        const { progress, stats, reasoning, content, reasoningMs, final } = this
        if (progress !== seen.progress && progress) yield seen.progress = progress
        if (reasoning.length > seen.reasoning) {
          yield { type: 'reasoning', text: reasoning.slice(seen.reasoning) }
          seen.reasoning = reasoning.length
        }
        if (reasoningMs !== undefined && !seen.reasoningEnd) {
          seen.reasoningEnd = true
          yield { type: 'reasoning-end', reasoningMs }
        }
        if (content.length > seen.content) {
          yield { type: 'content', text: content.slice(seen.content) }
          seen.content = content.length
        }
        if (stats !== seen.stats && stats) yield seen.stats = stats
        if (final) return yield final
        await changed
      }
    } finally {
      this.watchers.delete(watcher)
      signal.removeEventListener('abort', watcher)
    }
  }

  private note(change: () => void): void {
    change()
    if (performance.now() - this.savedAt >= saveEveryMs) {
      this.savedAt = performance.now()
      this.save({ state: 'streaming' })
    }
    this.tell()
  }

  private fail(error: unknown): void {
    const shape = error instanceof WorkbenchError
      ? error.toShape()
      : new WorkbenchError('E_INTERNAL', `The answer failed: ${error instanceof Error ? error.message : String(error)}`).toShape()
    // Stopped before the first token: an empty answer, no failure.
    if (shape.code === 'E_CANCELLED' && this.abort.signal.aborted) return this.finish({ state: 'complete' })
    this.failure = shape
    this.finish({ state: 'failed', error: shape })
  }

  private finish(end: Pick<Message, 'state' | 'error' | 'stats'>): void {
    this.message = { ...this.current(), ...end }
    const unsaved = this.save(end)
    this.failure ??= unsaved
    this.final = this.failure ? { type: 'error', error: this.failure, message: this.message } : { type: 'end', message: this.message }
    this.tell()
  }

  // The disk may be full: what was generated is still shown, and a failure at the end is told.
  private save(end: Pick<Message, 'state' | 'error' | 'stats'>): WorkbenchErrorShape | undefined {
    try {
      this.conversations.updateAnswer(this.messageId, { content: this.content, reasoning: this.reasoning, reasoningMs: this.reasoningMs ?? 0, ...end })
      return undefined
    } catch (error) {
      return error instanceof WorkbenchError ? error.toShape() : new WorkbenchError('E_IO', `The answer could not be saved: ${String(error)}`).toShape()
    }
  }

  private tell(): void { this.watchers.forEach(watcher => watcher()) }
}
