// The sandbox in which chat templates run: a process started from this text (no file of its own
// survives bundling). A template is hostile input: steps, calls, depth, output, the size of each
// value and the memory of all values are counted here. The heap limit of the process is only the
// second wall: V8 aborts when one operation overshoots it, and whoever waits pays for a new
// process, so every operation that can make much out of little is measured before it runs.
// Plain CommonJS because what starts from text is not compiled. `host` is the wire to the host.
/* global host -- a parameter of this text, see chat-template-process.ts */
/* eslint-disable @typescript-eslint/no-require-imports -- what starts from text is CommonJS */
const { compileFunction } = require('node:vm')

const { limits } = host.data
function load(source) {
  const module = { exports: {} }
  compileFunction(source, ['module', 'exports', 'limits'])(module, module.exports, limits)
  return module.exports
}
const { Environment, Interpreter, parse, tokenize } = load(host.data.jinja)
const {
  LimitError, cost, charge, resetBudget, checkText, checkList, chargeText,
  TextBuilder, jsonText, writeText, replaceText, stripText, countParts, indentText, joinItems,
} = load(host.data.bounds)

const months = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const longestName = 1024
const longestTimeFormat = 4096
const longestMessage = 4000

class RaisedError extends Error {}

// The interpreter exports no value classes; they are reached through values.
const StringValue = classOf('')
const IntegerValue = classOf(0)
const BooleanValue = classOf(true)
const ArrayValue = classOf([])
const ObjectValue = classOf({})
const NullValue = classOf(null)
const UndefinedValue = classOf(undefined)
const FunctionValue = classOf(() => 0)
const NamespaceValue = new Environment().lookupVariable('namespace').value([]).constructor

function classOf(value) {
  return new Environment().set('value', value).constructor
}

function isContainer(value) {
  return typeof value?.value === 'object' && value.value !== null || typeof value?.value === 'function'
}

// A syntax node that is evaluated already.
class Held {
  type = 'Held'
  constructor(value) { this.value = value }
}

function heldArguments(positional, keywords) {
  return [...positional.map(value => new Held(value)), ...Array.from(keywords, ([key, value]) => ({ type: 'KeywordArgumentExpression', key: { value: key }, value: new Held(value) }))]
}

function stripWith(sides) {
  return (text, args, native) => {
    if (args.length !== 1) return native(args)
    if (args[0].type !== 'StringValue') throw new Error('strip() works on strings')
    charge(args[0].value.length * cost.match)
    return new StringValue(stripText(text, args[0].value, sides))
  }
}

function sameLength(text, args, native) {
  chargeText(text.length)
  const result = native(args)
  chargeText(result.value.length)
  return result
}

const stringMethods = new Map(Object.entries({
  upper: sameLength, lower: sameLength, capitalize: sameLength,
  strip: stripWith([true, true]), lstrip: stripWith([true, false]), rstrip: stripWith([false, true]),
  startswith: (_, args, native) => native(args), endswith: (_, args, native) => native(args),
  title(text, args, native) {
    charge(text.length * cost.match / 2)
    return sameLength(text, args, native)
  },
  split(text, args, native) {
    const separator = args[0]?.type === 'StringValue' ? args[0].value : undefined
    const parts = separator === '' ? 0 : countParts(text, separator)
    checkList(parts)
    charge(parts * cost.part)
    return native(args)
  },
  replace(text, args) {
    if (args.length < 2) throw new Error('replace() requires at least two arguments')
    if (args[0].type !== 'StringValue' || args[1].type !== 'StringValue') throw new Error('replace() arguments must be strings')
    const count = args[2]?.type === 'KeywordArgumentsValue' ? args[2].value.get('count') : args[2]
    if (count !== undefined && count.type !== 'IntegerValue' && count.type !== 'NullValue') throw new Error('replace() count argument must be a number or null')
    return new StringValue(replaceText(text, args[0].value, args[1].value, count?.value ?? undefined))
  },
}))

function chargeEntries(map, args, native) {
  charge(map.size * cost.entry)
  return native(args)
}
const objectMethods = new Map(Object.entries({
  get: (_, args, native) => native(args), items: chargeEntries, keys: chargeEntries, values: chargeEntries, dictsort: chargeEntries,
}))

// Puts the counted methods in front of the interpreter's own and keeps it from caching a table of them in each value.
function boundMethods(valueClass, methods) {
  const native = Object.getOwnPropertyDescriptor(valueClass.prototype, 'builtins').get
  const take = (value, name) => {
    charge(cost.method)
    const member = native.call(value).get(name)
    value._builtins = undefined
    return member
  }
  const get = (value, name) => {
    if (name === 'length' && typeof value.value.length === 'number') return new IntegerValue(value.value.length)
    const bounded = methods.get(name)
    if (!bounded) return undefined
    const member = take(value, name)
    return new FunctionValue((args, scope) => bounded(value.value, args, given => member.value(given, scope)))
  }
  Object.defineProperty(valueClass.prototype, 'builtins', { get() { return { get: name => get(this, name) } } })
}
boundMethods(StringValue, stringMethods)
boundMethods(ObjectValue, objectMethods)
boundMethods(ArrayValue, new Map())
for (const valueClass of [ArrayValue, ObjectValue, NamespaceValue]) valueClass.prototype.toString = function toString() { return jsonText(this) }

function expectType(value, types, message) {
  if (value !== undefined && !types.includes(value.type)) throw new Error(message)
  return value?.value ?? undefined
}

// The filters that can make much out of little, written anew with a bound; the rest is the interpreter's.
const filters = new Map(Object.entries({
  tojson(operand, _, keywords) {
    const indent = expectType(keywords.get('indent'), ['IntegerValue', 'NullValue'], 'If set, indent must be a number') ?? 0
    const pair = expectType(keywords.get('separators'), ['ArrayValue', 'TupleValue', 'NullValue'], 'If set, separators must be a tuple of two strings')
    if (pair && (pair.length !== 2 || pair.some(item => item?.type !== 'StringValue'))) throw new Error('separators must be a tuple of two strings')
    if (indent < 0) throw new Error('indent must not be negative')
    return new StringValue(jsonText(operand, {
      indent,
      ensureAscii: expectType(keywords.get('ensure_ascii'), ['BooleanValue'], 'If set, ensure_ascii must be a boolean') ?? false,
      sortKeys: expectType(keywords.get('sort_keys'), ['BooleanValue'], 'If set, sort_keys must be a boolean') ?? false,
      itemSeparator: pair ? pair[0].value : indent ? ',' : ', ',
      keySeparator: pair ? pair[1].value : ': ',
      missing: 'null',
    }))
  },
  join(operand, positional, keywords, isCall) {
    if (operand instanceof StringValue && !isCall) return operand
    if (!(operand instanceof StringValue || operand instanceof ArrayValue)) return undefined
    const separator = expectType(positional[0] ?? keywords.get('separator'), ['StringValue'], 'separator must be a string') ?? ''
    return new StringValue(joinItems(operand, separator))
  },
  indent(operand, positional, keywords) {
    if (!(operand instanceof StringValue)) return undefined
    const width = expectType(positional[0] ?? keywords.get('width'), ['IntegerValue'], 'width must be a number') ?? 4
    if (!(width >= 0)) throw new Error('width must not be negative')
    const flag = (index, name) => Boolean((positional[index] ?? keywords.get(name))?.value)
    return new StringValue(indentText(operand.value, width, flag(1, 'first'), flag(2, 'blank')))
  },
}))

// The interpreter has no hook: its methods are the place to count.
class BoundedInterpreter extends Interpreter {
  steps = 0
  calls = 0
  depth = 0

  evaluate(node, environment) {
    if (node instanceof Held) return node.value
    if (++this.steps > limits.steps) throw new LimitError(`it needs more than ${limits.steps} steps`)
    charge(cost.step)
    const isCall = node?.type === 'CallExpression' || node?.type === 'CallStatement'
    if (isCall && ++this.calls > limits.callDepth) throw new LimitError(`its calls nest deeper than ${limits.callDepth}`)
    if (++this.depth > limits.depth) throw new LimitError(`it nests deeper than ${limits.depth}`)
    try {
      const value = super.evaluate(node, environment)
      const content = value?.value
      if (typeof content === 'string') checkText(content.length)
      else if (Array.isArray(content)) checkList(content.length)
      return value
    } finally {
      // Also when the node is a break or continue, which the loop catches.
      this.depth--
      if (isCall) this.calls--
    }
  }

  evaluateBinaryExpression(node, environment) {
    const operator = node.operator.value
    if (!['+', '~', '==', '!='].includes(operator)) return super.evaluateBinaryExpression(node, environment)
    const left = this.evaluate(node.left, environment)
    const right = this.evaluate(node.right, environment)
    if (operator === '==' || operator === '!=') {
      // JavaScript would turn the list into a text of any size to compare it.
      if (isContainer(left) !== isContainer(right)) return new BooleanValue(operator === '!=')
    } else {
      const isMissing = [left, right].some(side => side === undefined || side instanceof UndefinedValue || side instanceof NullValue)
      if (!isMissing && (operator === '~' || left instanceof StringValue || right instanceof StringValue)) return concatenate(left, right)
      if (left instanceof ArrayValue && right instanceof ArrayValue) chargeList(left.value.length + right.value.length)
    }
    return super.evaluateBinaryExpression({ ...node, operator: node.operator, left: new Held(left), right: new Held(right) }, environment)
  }

  applyFilter(operand, filter, environment) {
    const isCall = filter.type === 'CallExpression'
    const name = isCall ? filter.callee.value : filter.value
    // These want the syntax of their arguments.
    const takesSyntax = name === 'selectattr' || name === 'rejectattr'
    const [positional, keywords] = isCall && !takesSyntax ? this.evaluateArguments(filter.args, environment) : [[], new Map()]
    const bounded = filters.get(name)?.(operand, positional, keywords, isCall)
    if (bounded) return bounded
    if (operand instanceof ArrayValue) {
      if (name === 'string') return new StringValue(jsonText(operand))
      charge(operand.value.length * cost.item)
      for (const value of [...positional, ...keywords.values()]) {
        if (value?.type === 'StringValue' && value.value.length > longestName) throw new LimitError(`an argument of ${name} is longer than ${longestName} characters`)
      }
    } else if (operand instanceof ObjectValue) charge(operand.value.size * cost.entry)
    return super.applyFilter(operand, isCall && !takesSyntax ? { ...filter, args: heldArguments(positional, keywords) } : filter, environment)
  }

  evaluateArguments(args, environment) {
    const result = super.evaluateArguments(args, environment)
    charge(result[0].length * cost.slot + result[1].size * cost.entry)
    return result
  }

  evaluateBlock(statements, environment) {
    const result = super.evaluateBlock(statements, environment)
    chargeText(result.value.length)
    return result
  }

  evaluateFor(node, environment) {
    const isSelect = node.iterable.type === 'SelectExpression'
    const iterable = this.evaluate(isSelect ? node.iterable.lhs : node.iterable, new Environment(environment))
    const held = new Held(iterable)
    if (iterable instanceof ObjectValue) charge(iterable.value.size * (cost.entry + cost.iteration))
    else if (iterable instanceof ArrayValue) charge(iterable.value.length * cost.iteration)
    charge(cost.scope)
    return super.evaluateFor({ ...node, iterable: isSelect ? { type: 'SelectExpression', lhs: held, test: node.iterable.test } : held }, environment)
  }

  evaluateIdentifier(node, environment) {
    const value = super.evaluateIdentifier(node, environment)
    if (node.value === 'loop') charge(cost.loop)
    return node.value === 'namespace' && value instanceof FunctionValue ? boundedNamespace(value) : value
  }

  evaluateMemberExpression(node, environment) {
    // Only a loop variable that is kept as a whole costs something.
    const isLoop = node.object.type === 'Identifier' && node.object.value === 'loop'
    return super.evaluateMemberExpression(isLoop ? { ...node, object: new Held(environment.lookupVariable('loop')) } : node, environment)
  }

  evaluateSliceExpression(object, node, environment) {
    const [start, stop, step] = [node.start, node.stop, node.step].map(bound => this.evaluate(bound, environment))
    const isPlain = [start, stop].every(bound => bound instanceof IntegerValue || bound instanceof UndefinedValue) && (step instanceof UndefinedValue || step.value === 1)
    if (object instanceof StringValue && isPlain && !/[\ud800-\udfff]/.test(object.value)) return new StringValue(object.value.slice(start.value ?? 0, stop.value))
    if (object instanceof StringValue) charge(object.value.length * cost.splitCharacter)
    else if (object instanceof ArrayValue) charge(object.value.length * cost.slot)
    return super.evaluateSliceExpression(object, { start: new Held(start), stop: new Held(stop), step: new Held(step) }, environment)
  }

  bindMacroArguments(name, parameters, special, args, scope) {
    const last = args.at(-1)
    charge(cost.scope + args.length * cost.slot + (last?.type === 'KeywordArgumentsValue' ? last.value.size * cost.entry : 0))
    return super.bindMacroArguments(name, parameters, special, args, scope)
  }

  evaluateMacro(node, environment) {
    charge(cost.definition)
    return super.evaluateMacro(node, environment)
  }

  evaluateCallStatement(node, environment) {
    charge(cost.scope + cost.definition)
    return super.evaluateCallStatement(node, environment)
  }
}

// A version of the interpreter that names its methods otherwise would run without these bounds.
for (const name of Object.getOwnPropertyNames(BoundedInterpreter.prototype)) {
  if (!(name in Interpreter.prototype)) throw new Error(`The template interpreter has no method ${name}`)
}

function chargeList(length) {
  checkList(length)
  charge(length * cost.slot)
}

function concatenate(left, right) {
  if (typeof left.value === 'string' && typeof right.value === 'string') {
    chargeText(left.value.length + right.value.length)
    return new StringValue(left.value + right.value)
  }
  const builder = new TextBuilder()
  writeText(builder, left)
  writeText(builder, right)
  return new StringValue(builder.toString())
}

function boundedNamespace(native) {
  charge(cost.method)
  return new FunctionValue((args, scope) => {
    for (const source of args) {
      if (source instanceof ObjectValue) charge(source.value.size * cost.entry)
      if (!(source instanceof ArrayValue)) continue
      charge(source.value.length * cost.entry)
      // The interpreter takes a text apart to see that it is no pair.
      if (source.value.some(pair => pair?.type === 'StringValue' && pair.value.length > 4)) throw new Error('namespace expected an object or an iterable of [key, value] pairs')
    }
    return native.value(args, scope)
  })
}

function range(...args) {
  if (args.length < 1 || args.length > 3 || !args.every(Number.isInteger)) throw new Error('range() takes one to three integers')
  const [start, stop, step] = args.length === 1 ? [0, args[0], 1] : [args[0], args[1], args[2] ?? 1]
  if (step === 0) throw new Error('range() step must not be zero')
  const length = Math.max(0, Math.ceil((stop - start) / step))
  if (length > limits.rangeLength) throw new LimitError(`range() of ${length} items is larger than ${limits.rangeLength}`)
  charge(length * cost.part)
  return Array.from({ length }, (_, i) => start + i * step)
}

// Python's strftime in the C locale, whatever the locale of this machine.
function formatTime(date, format) {
  if (typeof format !== 'string' || format.length > longestTimeFormat) throw new Error(`strftime_now() takes a text of at most ${longestTimeFormat} characters`)
  const two = value => String(value).padStart(2, '0')
  const parts = {
    Y: () => String(date.getFullYear()), m: () => two(date.getMonth() + 1), d: () => two(date.getDate()),
    b: () => months[date.getMonth()].slice(0, 3), B: () => months[date.getMonth()],
    a: () => weekdays[date.getDay()].slice(0, 3), A: () => weekdays[date.getDay()],
    H: () => two(date.getHours()), M: () => two(date.getMinutes()), S: () => two(date.getSeconds()),
    j: () => String(Math.floor((Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000)).padStart(3, '0'),
    y: () => two(date.getFullYear() % 100), e: () => String(date.getDate()).padStart(2, ' '), '%': () => '%',
  }
  return format.replace(/%([YmdbBaAHMSjye%])/g, (_, letter) => parts[letter]())
}

function raise(message) {
  throw new RaisedError(isContainer({ value: message }) ? 'The template refuses this conversation.' : String(message).slice(0, longestMessage))
}

// Parsed templates, the oldest first; bounded by their text, for a syntax tree is many times as large.
const parsed = new Map()
let parsedCharacters = 0

function parseCached(template) {
  const known = parsed.get(template)
  if (known) return known
  const program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }))
  if (template.length > limits.cachedCharacters) return program
  parsed.set(template, program)
  parsedCharacters += template.length
  for (const oldest of parsed.keys()) {
    if (parsedCharacters <= limits.cachedCharacters) break
    parsed.delete(oldest)
    parsedCharacters -= oldest.length
  }
  return program
}

function render({ template, variables, now }) {
  const program = parseCached(template)
  const environment = new Environment()
  const globals = {
    true: true, false: false, none: null, True: true, False: false, None: null,
    raise_exception: raise, range, strftime_now: format => formatTime(new Date(now), format),
  }
  for (const [name, value] of Object.entries(globals)) environment.set(name, value)
  for (const [name, value] of Object.entries(variables)) if (!Object.hasOwn(globals, name) && name !== 'namespace') environment.set(name, value)
  resetBudget()
  const text = new BoundedInterpreter(environment).run(program).value
  if (Buffer.byteLength(text) > limits.outputBytes) throw new LimitError(`its output is larger than ${limits.outputBytes} bytes`)
  return text
}

function describe(error) {
  if (error instanceof RaisedError) return { kind: 'raised', message: error.message }
  if (error instanceof LimitError) return { kind: 'limit', message: error.message }
  // Stack overflow in the parser.
  if (error instanceof RangeError) return { kind: 'limit', message: /call stack/.test(error.message) ? 'it nests too deeply' : 'it builds a value that is too large' }
  return { kind: 'error', message: String(error?.message ?? error).slice(0, 500) }
}

host.onMessage(request => {
  try {
    host.post({ id: request.id, text: render(request) })
  } catch (error) {
    host.post({ id: request.id, failure: describe(error) })
  }
})
host.post({ ready: true })
