// Conversations as trees of messages. An edit or a further answer makes a sibling; nothing is
// overwritten. The active leaf names the branch that is shown.
import { randomUUID } from 'node:crypto'
import {
  SamplingSettings, WorkbenchError, type Conversation, type ConversationSummary, type GenerationStats, type Message, type WorkbenchErrorShape,
} from '../contract'
import { Emitter } from './emitter'
import type { SettingsService } from './settings'
import type { Db, Row, SqlValue } from './storage'

export type ConversationChange = Partial<Pick<Conversation, 'title' | 'systemPrompt' | 'sampling' | 'activeLeafId' | 'modelId'>>

// What an answer looks like so far, or at its end.
export interface AnswerUpdate {
  content: string
  reasoning: string
  reasoningMs: number
  state: Message['state']
  error?: WorkbenchErrorShape
  stats?: GenerationStats
}

const keepDeletedMs = 30 * 24 * 3600 * 1000
const titleLength = 60
// Shorter searches than a trigram cannot use the index.
const shortestIndexed = 3

export class ConversationService {
  readonly onDidChange = new Emitter<ConversationSummary[]>()

  constructor(private readonly db: Db, private readonly settings: SettingsService) {
    // Answers that a crash cut off, and what was deleted long ago.
    db.exec("UPDATE message SET state = 'interrupted' WHERE state = 'streaming'")
    db.prepare('DELETE FROM conversation WHERE deleted_at < ?').run(Date.now() - keepDeletedMs)
  }

  // Newest first; a search looks into titles and messages.
  list(search = ''): ConversationSummary[] {
    const words = search.trim()
    const [where, values] = words === '' ? ['', []] : searchCondition(words)
    return this.db.prepare(`SELECT c.*, (SELECT count(*) FROM message m WHERE m.conversation_id = c.id) AS n_messages
      FROM conversation c WHERE c.deleted_at IS NULL ${where} ORDER BY c.updated_at DESC, c.rowid DESC`).all(...values).map(toSummary)
  }

  // Throws E_NOT_FOUND.
  get(conversationId: string): Conversation {
    const row = this.db.prepare(`SELECT c.*, (SELECT count(*) FROM message m WHERE m.conversation_id = c.id) AS n_messages
      FROM conversation c WHERE c.id = ? AND c.deleted_at IS NULL`).get(conversationId)
    if (!row) throw notFound('conversation', conversationId)
    const messages = this.db.prepare('SELECT * FROM message WHERE conversation_id = ? ORDER BY row').all(conversationId).map(toMessage)
    const sampling = SamplingSettings.safeParse(JSON.parse(String(row.sampling)))
    return {
      ...toSummary(row), systemPrompt: String(row.system_prompt), sampling: sampling.success ? sampling.data : this.settings.value.sampling,
      messages, ...(row.active_leaf_id !== null && { activeLeafId: String(row.active_leaf_id) }),
    }
  }

  create(modelId?: string): Conversation {
    const { sampling, systemPrompt } = this.settings.value
    const id = randomUUID()
    const now = Date.now()
    this.db.prepare('INSERT INTO conversation(id, title, created_at, updated_at, model_id, system_prompt, sampling) VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(id, '', now, now, modelId ?? null, systemPrompt, JSON.stringify(sampling))
    this.announce()
    return this.get(id)
  }

  update(conversationId: string, change: ConversationChange): Conversation {
    const before = this.get(conversationId)
    if (change.activeLeafId !== undefined && !before.messages.some(({ id }) => id === change.activeLeafId)) throw notFound('message', change.activeLeafId)
    const next = { ...before, ...Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) }
    // Only looking at another branch is no change of the conversation.
    const touched = Object.keys(change).some(key => key !== 'activeLeafId') ? Date.now() : before.updatedAt
    this.db.prepare('UPDATE conversation SET title = ?, system_prompt = ?, sampling = ?, active_leaf_id = ?, model_id = ?, updated_at = ? WHERE id = ?')
      .run(next.title, next.systemPrompt, JSON.stringify(next.sampling), next.activeLeafId ?? null, next.modelId ?? null, touched, conversationId)
    this.announce()
    return this.get(conversationId)
  }

  delete(conversationId: string): void {
    const { changes } = this.db.prepare('UPDATE conversation SET deleted_at = ? WHERE id = ? AND deleted_at IS NULL').run(Date.now(), conversationId)
    if (changes === 0) throw notFound('conversation', conversationId)
    this.announce()
  }

  restore(conversationId: string): Conversation {
    const { changes } = this.db.prepare('UPDATE conversation SET deleted_at = NULL WHERE id = ?').run(conversationId)
    if (changes === 0) throw notFound('conversation', conversationId)
    this.announce()
    return this.get(conversationId)
  }

  message(messageId: string): Message {
    const row = this.db.prepare(`SELECT m.* FROM message m JOIN conversation c ON c.id = m.conversation_id
      WHERE m.id = ? AND c.deleted_at IS NULL`).get(messageId)
    if (!row) throw notFound('message', messageId)
    return toMessage(row)
  }

  // The messages from the root to this one.
  branch(messageId: string): Message[] {
    const rows = this.db.prepare(`WITH RECURSIVE up(id, depth) AS (
        SELECT ?, 0 UNION ALL SELECT m.parent_id, up.depth + 1 FROM message m JOIN up ON m.id = up.id WHERE m.parent_id IS NOT NULL
      ) SELECT m.* FROM up JOIN message m ON m.id = up.id ORDER BY up.depth DESC`).all(messageId)
    return rows.map(toMessage)
  }

  // A question and its empty answer, in one step. The first one names the conversation.
  addTurn(conversationId: string, parentId: string | undefined, content: string, modelId: string): { userMessage: Message, answer: Message } {
    return this.changing(conversationId, conversation => {
      if (parentId !== undefined && !conversation.messages.some(({ id }) => id === parentId)) throw notFound('message', parentId)
      const userMessage = this.insert({ conversationId, parentId, role: 'user', content, state: 'complete', modelId: undefined })
      const answer = this.insert({ conversationId, parentId: userMessage.id, role: 'assistant', content: '', state: 'streaming', modelId })
      const title = conversation.title === '' ? titleFrom(content) : conversation.title
      this.db.prepare('UPDATE conversation SET title = ?, updated_at = ?, active_leaf_id = ?, model_id = ? WHERE id = ?')
        .run(title, Date.now(), answer.id, modelId, conversationId)
      return { userMessage, answer }
    })
  }

  // A further answer beside the existing ones.
  addAnswer(parentId: string, modelId: string): Message {
    const parent = this.message(parentId)
    return this.changing(parent.conversationId, () => {
      const answer = this.insert({ conversationId: parent.conversationId, parentId, role: 'assistant', content: '', state: 'streaming', modelId })
      this.db.prepare('UPDATE conversation SET updated_at = ?, active_leaf_id = ?, model_id = ? WHERE id = ?').run(Date.now(), answer.id, modelId, parent.conversationId)
      return answer
    })
  }

  // Takes back a turn whose request was refused.
  removeMessage(messageId: string, activeLeafId: string | undefined): void {
    const { conversationId } = this.message(messageId)
    this.changing(conversationId, () => {
      this.db.prepare('DELETE FROM message WHERE id = ?').run(messageId)
      this.db.prepare('UPDATE conversation SET active_leaf_id = ? WHERE id = ?').run(activeLeafId ?? null, conversationId)
    })
  }

  updateAnswer(messageId: string, { content, reasoning, reasoningMs, state, error, stats }: AnswerUpdate): void {
    this.db.prepare('UPDATE message SET content = ?, reasoning = ?, reasoning_ms = ?, state = ?, error = ?, stats = ? WHERE id = ?')
      .run(content, reasoning, reasoningMs, state, error ? JSON.stringify(error) : null, stats ? JSON.stringify(stats) : null, messageId)
  }

  private changing<T>(conversationId: string, work: (before: Conversation) => T): T {
    const result = this.db.transaction(() => work(this.get(conversationId)))
    this.announce()
    return result
  }

  private insert({ conversationId, parentId, role, content, state, modelId }: {
    conversationId: string, parentId: string | undefined, role: Message['role'], content: string, state: Message['state'], modelId: string | undefined
  }): Message {
    const id = randomUUID()
    this.db.prepare('INSERT INTO message(id, conversation_id, parent_id, role, content, created_at, model_id, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
      .run(id, conversationId, parentId ?? null, role, content, Date.now(), modelId ?? null, state)
    return this.message(id)
  }

  private announce(): void { this.onDidChange.emit(this.list()) }
}

// The first line, cut at a word.
export function titleFrom(content: string): string {
  const line = content.trim().split('\n')[0]?.trim().replaceAll(/\s+/g, ' ') ?? ''
  if (line.length <= titleLength) return line
  const cut = line.slice(0, titleLength)
  const space = cut.lastIndexOf(' ')
  return `${(space > titleLength / 2 ? cut.slice(0, space) : cut).trimEnd()}…`
}

function searchCondition(words: string): [string, SqlValue[]] {
  const like = `%${words.replaceAll(/[\\%_]/g, character => `\\${character}`)}%`
  if ([...words].length < shortestIndexed) {
    return ["AND (c.title LIKE ? ESCAPE '\\' OR EXISTS (SELECT 1 FROM message m WHERE m.conversation_id = c.id AND m.content LIKE ? ESCAPE '\\'))", [like, like]]
  }
  const phrase = `"${words.replaceAll('"', '""')}"`
  return ["AND (c.title LIKE ? ESCAPE '\\' OR c.id IN (SELECT m.conversation_id FROM message_fts f JOIN message m ON m.row = f.rowid WHERE message_fts MATCH ?))", [like, phrase]]
}

function toSummary(row: Row): ConversationSummary {
  return {
    id: String(row.id), title: String(row.title), createdAt: Number(row.created_at), updatedAt: Number(row.updated_at),
    ...(row.model_id !== null && { modelId: String(row.model_id) }), nMessages: Number(row.n_messages),
  }
}

function toMessage(row: Row): Message {
  return {
    id: String(row.id), conversationId: String(row.conversation_id), ...(row.parent_id !== null && { parentId: String(row.parent_id) }),
    role: row.role as Message['role'], content: String(row.content), reasoning: String(row.reasoning), reasoningMs: Number(row.reasoning_ms),
    createdAt: Number(row.created_at), ...(row.model_id !== null && { modelId: String(row.model_id) }), state: row.state as Message['state'],
    ...(row.error !== null && { error: JSON.parse(String(row.error)) as WorkbenchErrorShape }),
    ...(row.stats !== null && { stats: JSON.parse(String(row.stats)) as GenerationStats }),
  }
}

function notFound(what: string, id: string): WorkbenchError {
  return new WorkbenchError('E_NOT_FOUND', `There is no ${what} ${id}.`, { hint: 'It may have been deleted in another window.' })
}
