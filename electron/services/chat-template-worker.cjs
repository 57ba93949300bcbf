// The sandbox in which chat templates run: a worker thread started from this text (no file of
// its own survives bundling). A template is hostile input: steps, calls, depth, output and the
// size of each value are counted here; time and heap are bounded by the thread that owns us.
// Plain CommonJS because a worker started from text is not compiled.
/* eslint-disable @typescript-eslint/no-require-imports -- a worker started from text is CommonJS */
const { parentPort, workerData } = require('node:worker_threads')
const { Environment, Interpreter, parse, tokenize } = require(workerData.jinja)

const { limits } = workerData
const cachedTemplates = 8
const parsed = new Map()
const months = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const stripMethods = { strip: [true, true], lstrip: [true, false], rstrip: [false, true] }

class LimitError extends Error {}
class RaisedError extends Error {}

// What the template itself throws; the interpreter has no hook, so evaluate() is the place to count.
class BoundedInterpreter extends Interpreter {
  steps = 0
  calls = 0
  depth = 0

  evaluate(node, environment) {
    if (++this.steps > limits.steps) throw new LimitError(`it needs more than ${limits.steps} steps`)
    const isCall = node?.type === 'CallExpression' || node?.type === 'CallStatement'
    if (isCall && ++this.calls > limits.callDepth) throw new LimitError(`its calls nest deeper than ${limits.callDepth}`)
    if (++this.depth > limits.depth) throw new LimitError(`it nests deeper than ${limits.depth}`)
    const value = this.stripCharacters(node, environment) ?? super.evaluate(node, environment)
    this.depth--
    if (isCall) this.calls--
    const content = value?.value
    if (typeof content === 'string' && content.length > limits.outputCharacters) throw new LimitError(`it builds a text of more than ${limits.outputCharacters} characters`)
    if (Array.isArray(content) && content.length > limits.listItems) throw new LimitError(`it builds a list of more than ${limits.listItems} items`)
    return value
  }

  // Python's strip(chars) family; the interpreter ignores the argument.
  stripCharacters(node, environment) {
    if (node?.type !== 'CallExpression' || node.args.length !== 1 || node.callee.type !== 'MemberExpression' || node.callee.computed) return undefined
    const sides = Object.hasOwn(stripMethods, node.callee.property.value) ? stripMethods[node.callee.property.value] : undefined
    if (!sides) return undefined
    const text = super.evaluate(node.callee.object, environment)
    const characters = super.evaluate(node.args[0], environment)
    if (text.type !== 'StringValue' || characters.type !== 'StringValue') throw new Error('strip() works on strings')
    const set = new Set(characters.value)
    const all = [...text.value]
    let [from, to] = [0, all.length]
    while (sides[0] && from < to && set.has(all[from])) from++
    while (sides[1] && to > from && set.has(all[to - 1])) to--
    return new text.constructor(all.slice(from, to).join(''))
  }
}

function range(...args) {
  if (args.length < 1 || args.length > 3 || !args.every(Number.isInteger)) throw new Error('range() takes one to three integers')
  const [start, stop, step] = args.length === 1 ? [0, args[0], 1] : [args[0], args[1], args[2] ?? 1]
  if (step === 0) throw new Error('range() step must not be zero')
  const length = Math.max(0, Math.ceil((stop - start) / step))
  if (length > limits.rangeLength) throw new LimitError(`range() of ${length} items is larger than ${limits.rangeLength}`)
  return Array.from({ length }, (_, i) => start + i * step)
}

// Python's strftime in the C locale, whatever the locale of this machine.
function formatTime(date, format) {
  const two = value => String(value).padStart(2, '0')
  const parts = {
    Y: () => String(date.getFullYear()), m: () => two(date.getMonth() + 1), d: () => two(date.getDate()),
    b: () => months[date.getMonth()].slice(0, 3), B: () => months[date.getMonth()],
    a: () => weekdays[date.getDay()].slice(0, 3), A: () => weekdays[date.getDay()],
    H: () => two(date.getHours()), M: () => two(date.getMinutes()), S: () => two(date.getSeconds()),
    j: () => String(Math.floor((Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000)).padStart(3, '0'),
    y: () => two(date.getFullYear() % 100), e: () => String(date.getDate()).padStart(2, ' '), '%': () => '%',
  }
  return String(format).replace(/%([YmdbBaAHMSjye%])/g, (_, letter) => parts[letter]())
}

function parseCached(template) {
  const known = parsed.get(template)
  if (known) return known
  const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }))
  if (parsed.size >= cachedTemplates) parsed.delete(parsed.keys().next().value)
  parsed.set(template, program)
  return program
}

function render({ template, variables, now }) {
  const program = parseCached(template)
  const environment = new Environment()
  const globals = {
    true: true, false: false, none: null, True: true, False: false, None: null,
    raise_exception: message => { throw new RaisedError(String(message)) },
    range, strftime_now: format => formatTime(new Date(now), format),
  }
  for (const [name, value] of Object.entries(globals)) environment.set(name, value)
  for (const [name, value] of Object.entries(variables)) if (!Object.hasOwn(globals, name) && name !== 'namespace') environment.set(name, value)
  const text = new BoundedInterpreter(environment).run(program).value
  if (Buffer.byteLength(text) > limits.outputBytes) throw new LimitError(`its output is larger than ${limits.outputBytes} bytes`)
  return text
}

function describe(error) {
  if (error instanceof RaisedError) return { kind: 'raised', message: error.message }
  if (error instanceof LimitError) return { kind: 'limit', message: error.message }
  // Stack overflow in the parser or in a value that contains itself.
  if (error instanceof RangeError) return { kind: 'limit', message: /call stack/.test(error.message) ? 'it nests too deeply' : 'it builds a value that is too large' }
  return { kind: 'error', message: String(error?.message ?? error).slice(0, 500) }
}

parentPort.on('message', request => {
  try {
    parentPort.postMessage({ id: request.id, text: render(request) })
  } catch (error) {
    parentPort.postMessage({ id: request.id, failure: describe(error) })
  }
})
