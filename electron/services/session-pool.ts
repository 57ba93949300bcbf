// The sessions of one loaded model. A request gets the one that already holds the longest part
// of its prompt, so that the next turn of a conversation is not computed from its start again.
import { WorkbenchError } from '../contract'
import type { EngineSession } from '../engine/types'

export interface PooledSession {
  readonly session: EngineSession
  // Tokens whose keys and values the session holds, as far as known.
  held: number[]
  lastUsed: number
  // Whose tokens these are: a conversation, or a REST client. For the routing view.
  owner: string
}

interface Waiter { resolve: (session: PooledSession) => void, reject: (error: unknown) => void, prompt: ArrayLike<number>, owner: string }

const maxSessions = 4
const maxQueue = 512
// Another owner's session is taken when most of what it holds is shared, or nearly the whole
// prompt is; else it is left to its conversation while a further session may be opened.
const sharedOfHeld = 0.5
const sharedOfPrompt = 0.9

export class SessionPool {
  private readonly idle: PooledSession[] = []
  private readonly busy = new Set<PooledSession>()
  private readonly queue: Waiter[] = []
  private clock = 0
  private closed = false

  // `mayGrow`: whether memory has room for one more session beside the first.
  constructor(private readonly create: () => EngineSession, private readonly mayGrow: () => boolean) {}

  get nBusy(): number { return this.busy.size }

  // Waits for a free session. Throws E_QUEUE_FULL and, through the signal, E_CANCELLED.
  acquire(prompt: ArrayLike<number>, owner: string, signal?: AbortSignal): Promise<PooledSession> {
    if (this.closed) return Promise.reject(unloaded())
    const session = this.choose(prompt, owner)
    if (session) return Promise.resolve(session)
    if (this.queue.length >= maxQueue) {
      return Promise.reject(new WorkbenchError('E_QUEUE_FULL', `${maxQueue} requests are waiting for this model already.`, { retryable: true }))
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, reject, prompt, owner }
      this.queue.push(waiter)
      signal?.addEventListener('abort', () => {
        const at = this.queue.indexOf(waiter)
        if (at < 0) return
        this.queue.splice(at, 1)
        reject(new WorkbenchError('E_CANCELLED', 'Cancelled while waiting for a free session.'))
      }, { once: true })
    })
  }

  release(pooled: PooledSession): void {
    this.busy.delete(pooled)
    if (this.closed) return pooled.session.close()
    this.idle.push(pooled)
    const next = this.queue.shift()
    if (!next) return
    const session = this.choose(next.prompt, next.owner)
    if (session) next.resolve(session)
    else next.reject(unloaded())
  }

  close(): void {
    this.closed = true
    for (const { session } of this.idle.splice(0)) session.close()
    for (const waiter of this.queue.splice(0)) waiter.reject(unloaded())
  }

  private choose(prompt: ArrayLike<number>, owner: string): PooledSession | undefined {
    const ranked = this.idle.map(pooled => ({ pooled, shared: sharedPrefix(pooled.held, prompt) }))
      .sort((a, b) => b.shared - a.shared || a.pooled.lastUsed - b.pooled.lastUsed)
    const best = ranked[0]
    const total = this.idle.length + this.busy.size
    const reuse = best && (best.pooled.held.length === 0 || (best.shared > 0 && owner !== '' && best.pooled.owner === owner)
      || best.shared >= sharedOfHeld * best.pooled.held.length || best.shared >= sharedOfPrompt * prompt.length)
    if (!reuse && total < maxSessions && (total === 0 || this.mayGrow())) {
      return this.take({ session: this.create(), held: [], lastUsed: 0, owner }, owner)
    }
    if (!best) return undefined
    // Nothing worth keeping fits: the one used longest ago gives way.
    const chosen = reuse ? best.pooled : ranked.reduce((a, b) => (b.pooled.lastUsed < a.pooled.lastUsed ? b : a)).pooled
    this.idle.splice(this.idle.indexOf(chosen), 1)
    return this.take(chosen, owner)
  }

  private take(pooled: PooledSession, owner: string): PooledSession {
    pooled.lastUsed = ++this.clock
    pooled.owner = owner
    this.busy.add(pooled)
    return pooled
  }
}

export function sharedPrefix(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const length = Math.min(a.length, b.length)
  let shared = 0
  while (shared < length && a[shared] === b[shared]) shared++
  return shared
}

function unloaded(): WorkbenchError {
  return new WorkbenchError('E_MODEL_UNKNOWN', 'The model was unloaded.', { retryable: true })
}
