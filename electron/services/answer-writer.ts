// Collects an answer as it comes: reasoning and content apart, until its end.
import type { GeneratedToken } from '../engine/types'
import { AnswerSplitter, type AnswerPiece, type ReasoningTags } from './answer-splitter'

export interface AnswerEvents {
  onReasoning?(text: string): void
  onReasoningEnd?(reasoningMs: number): void
  onContent?(text: string): void
}

export interface AnswerForm {
  // undefined: the tags stay in the content.
  tags: ReasoningTags | undefined
  startsInReasoning: boolean
  stop: readonly string[]
  // Tags that are tokens of their own and would have no text.
  tagTexts: ReadonlyMap<number, string>
}

export class AnswerWriter {
  content = ''
  reasoning = ''
  reasoningMs = 0
  private readonly splitter: AnswerSplitter
  private readonly stop = new AbortController()
  private reasoningSince: number | undefined

  constructor(private readonly form: AnswerForm, private readonly events: AnswerEvents) {
    const { tags, startsInReasoning, stop } = form
    this.splitter = new AnswerSplitter({ tags, startsInReasoning, stop })
  }

  get stopped(): AbortSignal { return this.stop.signal }
  get stoppedBy(): string | undefined { return this.splitter.stoppedBy }

  push(token: Pick<GeneratedToken, 'id' | 'text'>): void {
    this.take(this.splitter.push(this.form.tagTexts.get(token.id) ?? token.text))
    if (this.splitter.inReasoning) this.reasoningSince ??= performance.now()
    else this.endReasoning()
    if (this.splitter.stoppedBy !== undefined) this.stop.abort()
  }

  finish(): void {
    this.take(this.splitter.finish())
    this.endReasoning()
  }

  private take(pieces: AnswerPiece[]): void {
    for (const { type, text } of pieces) {
      if (type === 'reasoning') {
        this.reasoningSince ??= performance.now()
        this.reasoning += text
        this.events.onReasoning?.(text)
      } else {
        this.endReasoning()
        this.content += text
        this.events.onContent?.(text)
      }
    }
  }

  private endReasoning(): void {
    if (this.reasoningSince === undefined) return
    this.reasoningMs = performance.now() - this.reasoningSince
    this.reasoningSince = undefined
    if (this.reasoning !== '') this.events.onReasoningEnd?.(this.reasoningMs)
  }
}
