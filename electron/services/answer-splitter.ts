// Splits the text stream of a model into reasoning and content, and ends it at stop strings.
// Text that may still turn out to be part of a tag or a stop string is held back, so nothing
// is shown that would have to be taken back.

export interface ReasoningTags { start: string, end: string }

export interface AnswerPiece { type: 'reasoning' | 'content', text: string }

export interface AnswerSplitterOptions {
  // undefined: no tag is special, everything is content.
  tags: ReasoningTags | undefined
  // The template already opened the reasoning, so the stream begins inside it.
  startsInReasoning?: boolean
  // Looked for in the content only: a stop string must not cut the reasoning.
  stop?: readonly string[]
}

const knownTags: readonly ReasoningTags[] = [
  { start: '<think>', end: '</think>' },
  { start: '[THINK]', end: '[/THINK]' },
  { start: '<seed:think>', end: '</seed:think>' },
  { start: '<reasoning>', end: '</reasoning>' },
]
export const defaultReasoningTags: ReasoningTags = { start: '<think>', end: '</think>' }

// The tags a chat template speaks of; the usual ones when it names none.
export function reasoningTagsOf(chatTemplate: string): ReasoningTags {
  return knownTags.find(tags => chatTemplate.includes(tags.end)) ?? defaultReasoningTags
}

// Whether a rendered prompt ends within an opened reasoning block.
export function promptOpensReasoning(prompt: string, tags: ReasoningTags): boolean {
  return prompt.trimEnd().endsWith(tags.start)
}

// The text of the tag tokens of a vocabulary. Some files mark these tokens as control tokens,
// which have no printed text, so a stream of texts alone would lose the tags.
export function tagTokenTexts(tags: ReasoningTags, encode: (text: string) => ArrayLike<number>): ReadonlyMap<number, string> {
  const texts = new Map<number, string>()
  for (const tag of [tags.start, tags.end]) {
    const ids = encode(tag)
    if (ids.length === 1 && ids[0] !== undefined) texts.set(ids[0], tag)
  }
  return texts
}

export class AnswerSplitter {
  private pending = ''
  private phase: 'start' | 'reasoning' | 'gap' | 'content'
  private stopString: string | undefined
  private readonly stops: readonly string[]
  private reasoningStarted = false

  constructor(private readonly options: AnswerSplitterOptions) {
    this.phase = options.tags === undefined ? 'content' : options.startsInReasoning ? 'reasoning' : 'start'
    this.stops = (options.stop ?? []).filter(text => text !== '')
  }

  // The stop string that ended the answer; further text is ignored.
  get stoppedBy(): string | undefined { return this.stopString }

  get inReasoning(): boolean { return this.phase === 'reasoning' }

  push(text: string): AnswerPiece[] {
    if (this.stopString !== undefined) return []
    this.pending += text
    return this.drain(false)
  }

  // The rest, once the model has ended.
  finish(): AnswerPiece[] {
    return this.stopString === undefined ? this.drain(true) : []
  }

  private drain(last: boolean): AnswerPiece[] {
    const pieces: AnswerPiece[] = []
    if (this.phase === 'start' && !this.leaveStart(last)) return pieces
    if (this.phase === 'reasoning') this.drainReasoning(last, pieces)
    if (this.phase === 'gap') this.leaveGap(last)
    if (this.phase === 'content') this.drainContent(last, pieces)
    return pieces
  }

  // A start tag counts only before any other text. Returns false while that is undecided.
  private leaveStart(last: boolean): boolean {
    const start = this.options.tags?.start ?? ''
    const trimmed = this.pending.trimStart()
    if (trimmed.startsWith(start)) {
      this.pending = trimmed.slice(start.length)
      this.phase = 'reasoning'
      return true
    }
    if (!last && start.startsWith(trimmed)) return false
    this.phase = 'content'
    return true
  }

  private drainReasoning(last: boolean, pieces: AnswerPiece[]): void {
    const end = this.options.tags?.end ?? ''
    if (!this.reasoningStarted) this.pending = this.pending.replace(/^\s*\n/, '')
    const at = this.pending.indexOf(end)
    if (at >= 0) {
      this.emit(pieces, 'reasoning', this.pending.slice(0, at).trimEnd())
      this.pending = this.pending.slice(at + end.length)
      this.phase = 'gap'
      return
    }
    // White space before the end tag is layout, so it waits too.
    const held = last ? 0 : heldBack(this.pending, [end])
    const ready = this.pending.slice(0, this.pending.length - held).trimEnd()
    this.emit(pieces, 'reasoning', ready)
    this.pending = last ? '' : this.pending.slice(ready.length)
  }

  private leaveGap(last: boolean): void {
    this.pending = this.pending.trimStart()
    if (this.pending !== '' || last) this.phase = 'content'
  }

  private drainContent(last: boolean, pieces: AnswerPiece[]): void {
    const hit = firstOccurrence(this.pending, this.stops)
    if (hit) {
      this.emit(pieces, 'content', this.pending.slice(0, hit.at))
      this.pending = ''
      this.stopString = hit.text
      return
    }
    const held = last ? 0 : heldBack(this.pending, this.stops)
    this.emit(pieces, 'content', this.pending.slice(0, this.pending.length - held))
    this.pending = this.pending.slice(this.pending.length - held)
  }

  private emit(pieces: AnswerPiece[], type: AnswerPiece['type'], text: string): void {
    if (text === '') return
    if (type === 'reasoning') this.reasoningStarted = true
    pieces.push({ type, text })
  }
}

function firstOccurrence(text: string, needles: readonly string[]): { at: number, text: string } | undefined {
  let best: { at: number, text: string } | undefined
  for (const needle of needles) {
    const at = text.indexOf(needle)
    if (at >= 0 && (!best || at < best.at)) best = { at, text: needle }
  }
  return best
}

// Length of the longest end of text that a needle could continue.
function heldBack(text: string, needles: readonly string[]): number {
  let held = 0
  for (const needle of needles) {
    for (let length = Math.min(needle.length - 1, text.length); length > held; length--) {
      if (text.endsWith(needle.slice(0, length))) { held = length; break }
    }
  }
  return held
}
