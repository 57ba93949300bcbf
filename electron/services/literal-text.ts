// What others wrote stays text: message contents may spell a model's special tokens ("<|im_end|>"),
// and a pasted one must not end a turn. Where a conversation spells one, its characters are marked
// before the chat template runs; the rendered prompt then tells which of its characters are the
// template's and which are not. A conversation that spells none is rendered as it is.
import { WorkbenchError } from '../contract'
import type { EngineModel, TextSpan } from '../engine/types'
import type { ReasoningTags } from './answer-splitter'

const none: ReadonlySet<string> = new Set()

interface Node { next: Map<number, Node>, text: string | undefined }

export class SpecialTexts {
  private readonly root: Node = { next: new Map(), text: undefined }

  constructor(texts: Iterable<string>) {
    for (const text of texts) this.insert(text)
  }

  private insert(text: string): void {
    let node = this.root
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      let child = node.next.get(unit)
      if (!child) node.next.set(unit, child = { next: new Map(), text: undefined })
      node = child
    }
    if (node !== this.root) node.text = text
  }

  // All places where one is spelled; with isOpen also an end that what follows could complete
  // to one. Merged, ascending.
  find(text: string, isOpen: boolean, exempt: ReadonlySet<string> = none): TextSpan[] {
    const spans: TextSpan[] = []
    for (let start = 0; start < text.length; start++) {
      const end = this.endOf(text, start, isOpen, exempt)
      if (end === start) continue
      const last = spans.at(-1)
      if (last && last.end >= start) last.end = Math.max(last.end, end)
      else spans.push({ start, end })
    }
    return spans
  }

  private endOf(text: string, start: number, isOpen: boolean, exempt: ReadonlySet<string>): number {
    let node: Node | undefined = this.root
    let end = start
    for (let at = start; at < text.length; at++) {
      node = node.next.get(text.charCodeAt(at))
      if (!node) return end
      if (node.text !== undefined && !exempt.has(node.text)) end = at + 1
    }
    return isOpen && node.next.size > 0 ? text.length : end
  }
}

// Turn markers that a file calls user-defined rather than control tokens. Tags such as <tool_call>
// are left alone: templates look for them in messages.
const isTag = /^<\/?[a-z_][\w:-]*>$/i
const isTurn = /^<(start|end)_of_turn>$/

const known = new WeakMap<EngineModel, SpecialTexts>()

export function specialTextsOf(model: EngineModel): SpecialTexts {
  let texts = known.get(model)
  if (!texts) {
    const markers = model.userDefinedTokens.filter(text => text.trim().length >= 3 && model.chatTemplate.includes(text) && (!isTag.test(text) || isTurn.test(text)))
    known.set(model, texts = new SpecialTexts([...model.controlTokens, ...markers]))
  }
  return texts
}

export interface MarkedText { text: string, literal: TextSpan[] }

// Marks the strings of one request and takes the marks out of what was made of them.
export class LiteralMarks {
  private mark: string | undefined
  private source: unknown

  constructor(private readonly texts: SpecialTexts, private readonly tags: ReasoningTags, private readonly template: string) {}

  // messages, tools and what else a template reads, as JSON data of the same shape. Roles may
  // compose markers ("<|" ~ role ~ "|>"), and answers of the model may carry its reasoning tags.
  apply<T>(data: T): T {
    this.source = data
    const own = new Set([this.tags.start, this.tags.end])
    const visit = (value: unknown, exempt: ReadonlySet<string>, key = ''): unknown => {
      if (typeof value === 'string') return this.marked(value, key !== 'role', exempt)
      if (Array.isArray(value)) return value.map(item => visit(item, exempt))
      if (typeof value !== 'object' || value === null) return value
      const within = 'role' in value && value.role === 'assistant' ? own : exempt
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [this.marked(name, false, none), visit(item, within, name)]))
    }
    return visit(data, none) as T
  }

  private marked(text: string, isOpen: boolean, exempt: ReadonlySet<string>): string {
    const spans = this.texts.find(text, isOpen, exempt)
    if (spans.length === 0) return text
    const mark = this.mark ??= unusedCharacter(JSON.stringify(this.source) + this.template)
    let result = ''
    let from = 0
    for (const { start, end } of spans) {
      result += text.slice(from, start)
      for (const character of text.slice(start, end)) result += mark + character
      from = end
    }
    return result + text.slice(from)
  }

  // The text without marks, and where they were.
  remove(text: string): MarkedText {
    if (this.mark === undefined) return { text, literal: [] }
    // JSON in ASCII spells the mark out.
    const escape = `\\u${this.mark.charCodeAt(0).toString(16)}`
    const [first = '', ...rest] = text.replaceAll(new RegExp(escape.replace('\\', '\\\\'), 'gi'), this.mark).split(this.mark)
    const literal: TextSpan[] = []
    const pieces = [first]
    let length = first.length
    for (const piece of rest) {
      const end = length + ((piece.codePointAt(0) ?? 0) > 0xffff ? 2 : Math.min(1, piece.length))
      const last = literal.at(-1)
      if (last?.end === length) last.end = end
      else if (end > length) literal.push({ start: length, end })
      pieces.push(piece)
      length += piece.length
    }
    return { text: pieces.join(''), literal }
  }
}

// A character for private use that the request does not have, in either spelling.
function unusedCharacter(haystack: string): string {
  const lower = haystack.toLowerCase()
  for (let code = 0xf8ff; code >= 0xe000; code--) {
    if (!haystack.includes(String.fromCharCode(code)) && !lower.includes(`\\u${code.toString(16)}`)) return String.fromCharCode(code)
  }
  throw new WorkbenchError('E_BAD_REQUEST', 'The conversation spells special tokens of this model and uses every character for private use.', { hint: 'Remove one of both.' })
}
