// Answers of the chat as jobs of the host: a page that is reloaded or lost does not end them, it
// only watches them again. Stopping is always explicit.
import { randomUUID } from 'node:crypto'
import { WorkbenchError, type ChatEvent, type Conversation, type Message } from '../contract'
import { ChatJob } from './chat-job'
import type { ConversationService } from './conversations'
import type { TemplateMessage } from './chat-template'
import { draftOf, samplingOf, type InferenceService } from './inference'
import type { LogService } from './logs'
import type { ModelLibrary } from './model-library'

// How long an ended job can still be watched.
const keepEndedMs = 60_000

export class ChatService {
  private readonly jobs = new Map<string, ChatJob>()

  constructor(
    private readonly conversations: ConversationService, private readonly inference: InferenceService,
    private readonly library: ModelLibrary, private readonly log: LogService,
  ) {}

  // Throws at once when the model is unknown or broken, or the conversation is being answered.
  send(conversationId: string, parentId: string | undefined, content: string, modelId: string): { generationId: string, userMessage: Message, answer: Message } {
    this.requireUsable(modelId)
    this.requireIdle(conversationId)
    const { userMessage, answer } = this.conversations.addTurn(conversationId, parentId, content, modelId)
    return { generationId: this.start(answer, modelId).id, userMessage, answer }
  }

  regenerate(messageId: string, modelId: string): { generationId: string, answer: Message } {
    this.requireUsable(modelId)
    const { conversationId, parentId, role, id } = this.conversations.message(messageId)
    this.requireIdle(conversationId)
    const question = role === 'assistant' ? parentId : id
    if (question === undefined) throw new WorkbenchError('E_BAD_REQUEST', 'This message has no question it could answer.')
    const answer = this.conversations.addAnswer(question, modelId)
    return { generationId: this.start(answer, modelId).id, answer }
  }

  stop(generationId: string): void { this.jobs.get(generationId)?.stop() }

  // First the answer so far in one piece, then what follows, until the end.
  watch(generationId: string, signal: AbortSignal): AsyncGenerator<ChatEvent> {
    const job = this.jobs.get(generationId)
    if (!job) throw new WorkbenchError('E_NOT_FOUND', 'This answer is not being generated any more.', { hint: 'Load the conversation again.' })
    return job.watch(signal)
  }

  // The conversation with the id of the answer that is under way.
  withGeneration(conversation: Conversation): Conversation {
    const job = this.activeJob(conversation.id)
    return job ? { ...conversation, generationId: job.id, messages: conversation.messages.map(message => (message.id === job.messageId ? job.current() : message)) } : conversation
  }

  isAnswering(conversationId: string): boolean { return this.activeJob(conversationId) !== undefined }

  // Stops all answers and waits until they are saved.
  async close(): Promise<void> {
    for (const job of this.jobs.values()) job.stop()
    await Promise.all([...this.jobs.values()].map(({ ended }) => ended))
  }

  private start(answer: Message, modelId: string): ChatJob {
    const job = new ChatJob(randomUUID(), answer, this.conversations)
    this.jobs.set(job.id, job)
    const { systemPrompt, sampling } = this.conversations.get(answer.conversationId)
    job.run(signal => this.inference.generate({
      modelId, messages: this.promptMessages(systemPrompt, answer), sampling: samplingOf(sampling), draft: draftOf(sampling),
      maxTokens: sampling.maxTokens, maxTokensIsCap: true, owner: answer.conversationId, signal,
    }, job.events))
    void job.ended.then(() => {
      if (job.failure) this.log.warning(`An answer failed: ${job.failure.code} ${job.failure.message}`)
      setTimeout(() => this.jobs.delete(job.id), keepEndedMs).unref()
    })
    return job
  }

  // Reasoning of earlier turns is left out; failed answers without text are skipped.
  private promptMessages(systemPrompt: string, answer: Message): TemplateMessage[] {
    const earlier = this.conversations.branch(answer.id).slice(0, -1)
      .filter(({ role, content }) => role !== 'assistant' || content !== '')
      .map(({ role, content }) => ({ role, content }))
    return systemPrompt.trim() === '' ? earlier : [{ role: 'system', content: systemPrompt }, ...earlier]
  }

  private requireUsable(modelId: string): void {
    const { problem } = this.library.require(modelId)
    if (problem) throw new WorkbenchError(problem.code, problem.message, problem)
  }

  private requireIdle(conversationId: string): void {
    if (!this.isAnswering(conversationId)) return
    throw new WorkbenchError('E_CONFLICT', 'This conversation is being answered already.', { hint: 'Wait for the answer, or stop it.', retryable: true })
  }

  private activeJob(conversationId: string): ChatJob | undefined {
    return [...this.jobs.values()].find(job => job.conversationId === conversationId && !job.done)
  }
}
