// The budget of one render in the template sandbox, and the text operations that keep to it:
// each is measured before it builds anything, for V8 aborts the whole process when one operation
// overshoots its heap. Loaded as text by the sandbox, and a text itself like it.
/* global limits -- a parameter of this text: chatTemplateLimits */

// Bytes of heap that V8 takes for each, rounded up.
const cost = {
  step: 96, character: 2, slot: 16, item: 48, part: 112, entry: 160, match: 64, method: 256,
  definition: 512, scope: 1024, loop: 1200, iteration: 200, splitCharacter: 48,
}

class LimitError extends Error {}

// Memory that the running render has taken, never given back: an upper bound of what it holds.
let spent = 0

function charge(bytes) {
  spent += bytes
  if (spent > limits.memoryMegabytes * 1024 * 1024) throw new LimitError(`it needs more than ${limits.memoryMegabytes} MiB of memory`)
}

function checkText(length) {
  if (length > limits.outputCharacters) throw new LimitError(`it builds a text of more than ${limits.outputCharacters} characters`)
}

function checkList(length) {
  if (length > limits.listItems) throw new LimitError(`it builds a list of more than ${limits.listItems} items`)
}

// Called before a text of this many characters is built.
function chargeText(length) {
  checkText(length)
  charge(length * cost.character)
}

// Builds a text from many pieces; joins them in blocks, for a chain of concatenations costs 32 bytes a piece.
class TextBuilder {
  length = 0
  pieces = []
  blocks = []

  add(text) {
    this.length += text.length
    chargeText(text.length)
    checkText(this.length)
    this.pieces.push(text)
    if (this.pieces.length >= 4096) this.flush()
  }

  flush() {
    this.blocks.push(this.pieces.join(''))
    this.pieces = []
  }

  toString() {
    this.flush()
    return this.blocks.join('')
  }
}

// JSON as Python's json.dumps writes it. `missing` stands for undefined values.
function writeJson(builder, value, options, depth = 0) {
  if (depth > limits.valueDepth) throw new LimitError('it builds a value that nests too deeply')
  switch (value.type) {
    case 'NullValue': return builder.add('null')
    case 'UndefinedValue': return builder.add(options.missing)
    case 'IntegerValue': case 'FloatValue': case 'BooleanValue': return builder.add(JSON.stringify(value.value))
    case 'StringValue': return writeQuoted(builder, value.value, options.ensureAscii)
    case 'ArrayValue': case 'ObjectValue': case 'NamespaceValue': break
    default: throw new Error(`Cannot convert to JSON: ${value.type}`)
  }
  const isList = value.type === 'ArrayValue'
  if (!isList) charge(value.value.size * cost.entry)
  const entries = isList ? value.value : [...value.value]
  if (!isList && options.sortKeys) entries.sort(([a], [b]) => a.localeCompare(b))
  const pads = options.indent > 0 && entries.length > 0
  const pad = level => {
    if (!pads) return
    checkText(options.indent * level)
    builder.add(`\n${' '.repeat(options.indent * level)}`)
  }
  builder.add(isList ? '[' : '{')
  entries.forEach((entry, index) => {
    if (index > 0) builder.add(options.itemSeparator)
    pad(depth + 1)
    if (!isList) {
      writeQuoted(builder, entry[0], options.ensureAscii)
      builder.add(options.keySeparator)
    }
    writeJson(builder, isList ? entry : entry[1], options, depth + 1)
  })
  pad(depth)
  builder.add(isList ? ']' : '}')
}

// In parts, for a character can become six and the limit must hold before they exist.
function writeQuoted(builder, text, ensureAscii) {
  builder.add('"')
  for (let from = 0, to; from < text.length; from = to) {
    to = Math.min(from + 8192, text.length)
    if (splitsPair(text, to)) to++
    const part = JSON.stringify(text.slice(from, to)).slice(1, -1)
    builder.add(ensureAscii ? part.replace(/[\x7f-\uffff]/g, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`) : part)
  }
  builder.add('"')
}

function splitsPair(text, index) {
  return index > 0 && index < text.length && (text.charCodeAt(index - 1) & 0xfc00) === 0xd800 && (text.charCodeAt(index) & 0xfc00) === 0xdc00
}

const plainJson = { indent: 0, ensureAscii: false, sortKeys: false, itemSeparator: ', ', keySeparator: ': ', missing: 'undefined' }

function jsonText(value, options = plainJson) {
  const builder = new TextBuilder()
  writeJson(builder, value, options)
  return builder.toString()
}

// What `~` and join make of a value.
function writeText(builder, value) {
  const content = value?.value
  if (content === undefined || content === null) return
  if (Array.isArray(content)) {
    content.forEach((item, index) => {
      if (index > 0) builder.add(',')
      if (item !== undefined) builder.add(item.toString())
    })
  } else builder.add(typeof content === 'function' ? 'function' : String(content))
}

// Python's str.replace, sized before it is built. A match never cuts a surrogate pair.
function replaceText(text, old, fresh, count) {
  const most = count === undefined || count < 0 ? Infinity : count
  const builder = new TextBuilder()
  let from = 0
  let position = 0
  for (let done = 0; done < most && position <= text.length; done++) {
    let at = old === '' ? position : text.indexOf(old, position)
    while (at >= 0 && (splitsPair(text, at) || splitsPair(text, at + old.length))) at = old === '' ? at + 1 : text.indexOf(old, at + 1)
    if (at < 0) break
    builder.add(text.slice(from, at))
    builder.add(fresh)
    from = at + old.length
    position = Math.max(from, at + 1)
  }
  builder.add(text.slice(from))
  return builder.toString()
}

// Python's strip(chars) family; the interpreter ignores the argument.
function stripText(text, characters, [left, right]) {
  const set = new Set(characters)
  let [from, to] = [0, text.length]
  const step = index => text.codePointAt(index) > 0xffff ? 2 : 1
  while (left && from < to && set.has(text.slice(from, from + step(from)))) from += step(from)
  while (right && to > from) {
    const start = splitsPair(text, to - 1) ? to - 2 : to - 1
    if (start < from || !set.has(text.slice(start, to))) break
    to = start
  }
  return text.slice(from, to)
}

function countParts(text, separator) {
  let parts = 1
  if (separator === undefined) {
    for (let inWord = false, i = 0; i < text.length; i++) {
      const isSpace = text.charCodeAt(i) <= 32 || /\s/.test(text[i])
      if (inWord && isSpace) parts++
      inWord = !isSpace
    }
    return parts
  }
  for (let at = text.indexOf(separator); at >= 0 && parts <= limits.listItems; at = text.indexOf(separator, at + separator.length)) parts++
  return parts
}

function indentText(text, width, first, blank) {
  checkText(width)
  const padding = ' '.repeat(width)
  const builder = new TextBuilder()
  for (let from = 0, end; from <= text.length; from = end + 1) {
    end = text.indexOf('\n', from)
    if (end < 0) end = text.length
    if (from > 0) builder.add('\n')
    if ((first || from > 0) && (blank || end > from)) builder.add(padding)
    builder.add(text.slice(from, end))
  }
  return builder.toString()
}

function joinItems(operand, separator) {
  const builder = new TextBuilder()
  let isFirst = true
  for (const item of operand.value) {
    if (!isFirst) builder.add(separator)
    isFirst = false
    if (typeof item === 'string') builder.add(item)
    else writeText(builder, item)
  }
  return builder.toString()
}

// The next render starts with an empty account.
function resetBudget() {
  spent = 0
}

module.exports = {
  LimitError, cost, charge, resetBudget, checkText, checkList, chargeText,
  TextBuilder, jsonText, writeText, replaceText, stripText, countParts, indentText, joinItems,
}
