// A template must not be able to end its process, whatever it builds: V8 aborts a process when one
// operation overshoots its heap, so each case here is one way to make much out of little.
import { Template } from '@huggingface/jinja'
import { describe, expect, it } from 'vitest'
import { renderChatTemplate, type TemplateMessage } from '../../electron/services/chat-template'
import { llama3 } from './chat-template-families'

const messages: TemplateMessage[] = [{ role: 'user', content: ' Grüße, 中 😀 \n two' }, { role: 'assistant', content: 'a,b' }]

function render(template: string, extra: Record<string, unknown> = {}, given: TemplateMessage[] = messages): Promise<string> {
  return renderChatTemplate(template, { messages: given, addGenerationPrompt: true, bosToken: '<s>', eosToken: '</s>', extra })
}

// A text of the seed repeated 2^doublings times, as g.s.
function grown(doublings: number, seed = 'a,'): string {
  return `{% set g = namespace(s="${seed}") %}{% for i in range(${doublings}) %}{% set g.s = g.s ~ g.s %}{% endfor %}`
}

// Keeps the value of each turn alive.
function kept(expression: string, turns = 1000): string {
  return `{% set k = namespace(a=[]) %}{% for i in range(${turns}) %}{% set k.a = [k.a, ${expression}] %}{% endfor %}`
}

const list = '{% set l = namespace(a=range(100000)) %}{% set l.a = l.a + l.a %}'

describe('what a template builds is bounded before it is built', () => {
  const characters = /text of more than 8388608 characters/
  const items = /list of more than 250000 items/
  // A slow machine meets the limit on time first.
  const memory = /more than (192 MiB of memory|2000 ms)/
  const cases: [string, string, RegExp][] = [
    ['a replacement of every character', `${grown(22)}{{ g.s.replace("a", "bb")|length }}`, characters],
    ['a replacement between characters', `${grown(22)}{{ g.s.replace("", "x")|length }}`, characters],
    ['a text put into itself', `${grown(18)}{{ g.s.replace("a", g.s) }}`, characters],
    ['title case of many words', `${grown(22)}{{ g.s|title|length }}`, memory],
    ['case changes that are kept', `${grown(18)}${kept('g.s|upper')}`, memory],
    ['a time format of megabytes', `${grown(22)}{{ strftime_now(g.s.replace("a", "%B")) }}`, characters],
    ['a long time format', `${grown(12, '%B')}{{ strftime_now(g.s) }}`, /at most 4096 characters/],
    ['a split into many parts', `${grown(20)}{{ g.s.split(",")|length }}`, items],
    ['words of a long text', `${grown(20, 'a ')}{{ g.s.split()|length }}`, items],
    ['splits that are kept', `${grown(16)}${kept('g.s.split(",")')}`, memory],
    ['a reversed text', `${grown(22)}{{ g.s[::-1]|length }}`, memory],
    ['slices that are kept', `${grown(16)}${kept('g.s[::-1]')}`, memory],
    ['a separator of megabytes', `${grown(20)}{{ range(100000)|join(g.s) }}`, characters],
    ['the characters of a text joined', `${grown(21)}{{ g.s|join("xxx")|length }}`, characters],
    ['JSON that escapes', `${grown(22, '\\x01b')}{{ g.s|tojson|length }}`, characters],
    ['JSON in ASCII', `${grown(20, '\\u4e2d\\u6587')}{{ [g.s, g.s]|tojson(ensure_ascii=true)|length }}`, characters],
    ['JSON with wide indents', '{{ [[[[[[1]]]]]]|tojson(indent=4000000) }}', characters],
    ['JSON that is kept', `${grown(16)}${kept('g.s|tojson')}`, memory],
    ['a list in a comparison', `${grown(22)}{% set x = [g.s, g.s, g.s, g.s, g.s, g.s] %}{{ x == "a" }}{{ x ~ "" }}`, characters],
    ['a list in a concatenation', `${grown(21)}{{ ("x" + [g.s, g.s, g.s])|length }}`, characters],
    ['a list in a text', `${grown(21)}{{ [[g.s, g.s], [g.s, g.s]] }}`, characters],
    ['indents of many lines', `${grown(20, 'a\\n')}{{ g.s|indent(40)|length }}`, characters],
    ['a wide indent', '{{ "a\\nb"|indent(width=500000000) }}', characters],
    ['growing lists', `${list}${list}{{ (l.a + l.a)|length }}`, items],
    ['ranges that are kept', kept('range(50000)'), memory],
    ['lists that are kept', `${list}${kept('l.a[::-1]')}`, memory],
    ['sorted lists that are kept', `${list}${kept('l.a|sort')}`, memory],
    ['dictionaries in dictionaries', '{% set k = namespace(a={}) %}{% for i in range(100000) %}{% set k.a = {"a": k.a, "b" ~ i: [i, i, i]} %}{% endfor %}', /steps|memory/],
    ['namespaces in namespaces', '{% set k = namespace(a=1) %}{% for i in range(100000) %}{% set k.a = namespace(a=k.a, b=i, c=i, d="x" ~ i) %}{% endfor %}', memory],
    ['a namespace of a long text', `${grown(22)}{% set n = namespace %}{{ n([g.s]) }}`, /namespace expected/],
    ['loop variables that are kept', kept('loop', 100_000), memory],
    ['macros that are kept', '{% set k = namespace(a=[]) %}{% macro f() %}{% macro g() %}{% endmacro %}{% set k.a = [k.a, g] %}{% endmacro %}{% for i in range(100000) %}{{ f() }}{% endfor %}', memory],
    ['keyword arguments that are kept', `{% set k = namespace(a=[]) %}{% macro f() %}{% set k.a = [k.a, kwargs] %}{% endmacro %}{% set d = {${Array.from({ length: 20_000 }, (_, i) => `"${i}":1`).join()}} %}{% for i in range(1000) %}{{ f(**d) }}{% endfor %}`, memory],
    ['keyword arguments that are passed', `{% set d = {${Array.from({ length: 50_000 }, (_, i) => `"${i}":1`).join()}} %}{% for i in range(1000) %}{% set x = namespace(**d) %}{% endfor %}`, memory],
    ['unpacked lists that are kept', `${list}${kept('l.a').replace('[k.a, l.a]', '[k.a, f(*l.a)]').replace('{% for', '{% macro f() %}{% set k.a = [k.a, varargs] %}{% endmacro %}{% for')}`, memory],
    ['callers that are kept', '{% set k = namespace(a=[]) %}{% macro f() %}{% set k.a = [k.a, caller] %}{% endmacro %}{% for i in range(100000) %}{% call f() %}x{% endcall %}{% endfor %}', memory],
    ['blocks that are kept', '{% set k = namespace(a="x") %}{% for i in range(100) %}{% set x %}{{ k.a }}{{ k.a }}{% endset %}{% set k.a = x %}{% endfor %}', characters],
    ['an attribute name of megabytes', `${grown(22, '.')}{{ [{"a": 1}]|map(attribute=g.s)|list }}`, /attribute|argument of map is longer/],
    ['a self-containing value', '{% set k = namespace() %}{% set k.a = [k] %}{{ k }}', /nests too deeply/],
    ['a list of lists of lists', '{% set k = namespace(a=[]) %}{% for i in range(5000) %}{% set k.a = [k.a] %}{% endfor %}{{ k.a|tojson }}', /nests too deeply/],
  ]
  it.each(cases)('%s', async (_, template, message) => {
    await expect(render(template)).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringMatching(message) })
    expect(await render('{{ messages|length }}')).toBe('2')
  })

  it('passes a refusal of any size on in short', async () => {
    await expect(render(`${grown(20)}{{ raise_exception(g.s) }}`)).rejects.toSatisfy((error: Error) => error.message.length === 4000)
    await expect(render(`${grown(20)}{{ raise_exception([g.s, g.s]) }}`)).rejects.toMatchObject({ message: 'The template refuses this conversation.' })
  })

  it('refuses syntax that nests without end', async () => {
    const deep = [
      `{{ ${'('.repeat(100_000)}`, `{{ ${'['.repeat(100_000)}`, `{{ ${'a+'.repeat(100_000)}a }}`, `{{ a${'.a'.repeat(100_000)} }}`, `{{ "a"${'|upper'.repeat(100_000)} }}`,
      `{{ ${'not '.repeat(100_000)}1 }}`, `{{ ${'- '.repeat(100_000)}1 }}`, `{{ ${'1 if 1 else '.repeat(50_000)}1 }}`, `{{ f${'()'.repeat(100_000)} }}`,
      `{% if 0 %}${'{% elif 0 %}'.repeat(50_000)}{% endif %}`, '{% macro f() %}'.repeat(50_000), `{{ ${'{"a":'.repeat(100_000)}`,
    ]
    for (const template of deep) await expect(render(template), template.slice(0, 20)).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringMatching(/nests/) })
    expect(await render(`{{ ${'('.repeat(100)}1${')'.repeat(100)} + ${'1+'.repeat(700)}1 }}`)).toBe('702')
  }, 20_000)

  it('keeps large templates from filling the worker', async () => {
    for (let i = 0; i < 12; i++) expect(await render(`{% if false %}{{ [${'1,'.repeat(100_000)}${i}] }}{% endif %}${i}`)).toBe(String(i))
  }, 20_000)

  it('counts a break or continue as the end of a node', async () => {
    expect(await render('{% for i in range(5000) %}{% if i % 2 %}{% continue %}{% endif %}{% if i > 4990 %}{% break %}{% endif %}{% endfor %}done')).toBe('done')
  })

  it('bounds the conversation too', async () => {
    const cyclic: Record<string, unknown> = {}
    cyclic.self = cyclic
    let deep: unknown = 1
    for (let i = 0; i < 300; i++) deep = [deep]
    await expect(render('x', { cyclic })).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringMatching(/contains itself/) })
    await expect(render('x', { deep })).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringMatching(/nests deeper than 200/) })
    await expect(render('x', { many: Array.from({ length: 2_000_000 }, () => 1) })).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringMatching(/conversation needs more than 64 MiB/) })
  })
})

describe('renders side by side', () => {
  const endless = '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}'
  const busy = `${' '.repeat(900_000)}x`

  it('fail alone: those that wait are served by the next worker', async () => {
    const jobs = [render('{{ 1 }}'), render(busy), render('{{ 2 }}'), render(endless), render('{{ 3 }}'), render(llama3)]
    const outcomes = await Promise.allSettled(jobs)
    expect(outcomes.map(outcome => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(outcomes.filter(outcome => outcome.status === 'fulfilled').map(outcome => outcome.value).slice(0, 3)).toEqual(['1', '2', '3'])
    expect(outcomes[1]).toMatchObject({ reason: { code: 'E_BAD_REQUEST', message: expect.stringMatching(/more than 2000 ms/) } })
  }, 30_000)

  it('are not failed by a busy host', async () => {
    await render('{{ 1 }}')
    const job = render('{% for i in range(20000) %}{% endfor %}2')
    // Timers come right after immediates: the limit's own timer is looked at before the answer.
    await new Promise(resolve => setImmediate(resolve))
    const until = performance.now() + 2200
    while (performance.now() < until) { /* hold this thread past the time limit */ }
    expect(await job).toBe('2')
  })
})

describe('what is rewritten with a bound agrees with the interpreter', () => {
  // Without the tags of a template, so that both sides see the same variables.
  function reference(template: string): string | undefined {
    try {
      return new Template(template).render({ messages, bos_token: '<s>', eos_token: '</s>', add_generation_prompt: true })
    } catch {
      return undefined
    }
  }
  const value = '{"b": [1, 2.5, -0.0, "x\\n\\"y\\\\", {}], "a": {"k": none, "z": [], "ü": true}, "😀": "\\u4e2d"}'
  const templates = [
    ...['', '(indent=2)', '(indent=0)', '(ensure_ascii=true)', '(sort_keys=true)', '(separators=(",", ":"))', '(separators=["; ", " = "], indent=1)'].map(options => `{{ ${value}|tojson${options} }}{{ []|tojson${options} }}{{ messages|tojson${options} }}`),
    `{{ ${value} }}{{ [undefined_one, none, 1.0, "s"] }}{{ namespace(a=1, b=[2]) }}{{ [1, [2, "x"]]|string }}`,
    '{{ "a-b-a"|replace("a", "xy") }}{{ "aaaa".replace("a", "b", 2) }}{{ "aaaa"|replace("aa", "b", count=1) }}{{ "abc".replace("", "-") }}{{ "😀é".replace("", "-") }}{{ "😀".replace("\\ud83d", "x") }}{{ "a.b*c".replace(".", "$&") }}{{ "aa".replace("a", "b", 0) }}{{ "aa".replace("a", "b", -1) }}{{ "".replace("", "x") }}',
    '{{ [1, "a", none, true, [2, ["q"]], 2.0]|join("-") }}{{ []|join }}{{ ["a", "b"]|join }}{{ "a😀b"|join("|") }}{{ "ab"|join }}{{ messages|map(attribute="role")|join(", ") }}',
    '{{ "a\\n\\nb\\nc"|indent }}|{{ "a\\n\\nb"|indent(2, true) }}|{{ "a\\n\\nb"|indent(width=3, first=true, blank=true) }}|{{ "\\n"|indent(1, true, true) }}|{{ ""|indent(1, true, true) }}',
    '{{ "hello 😀 world"[::-1] }}{{ "hello"[1:3] }}{{ "hello"[-3:] }}{{ "hello"[:-1] }}{{ "hello"[::2] }}{{ "h😀llo"[1:2] }}{{ "hello"[5:1] }}{{ "hello"[-99:99] }}{{ [1, 2, 3][1:] }}{{ [1, 2, 3][::-1] }}{{ "abc"[1] }}{{ "abc"[-1] }}',
    '{{ "a,b,,c".split(",") }}{{ " a  b\\tc ".split() }}{{ "a b c".split(none, 1) }}{{ "a,b,c".split(",", 1) }}{{ "".split(",") }}{{ "   ".split() }}{{ "x".split("xx") }}',
    '{{ "hello wOrld it\'s"|title }}{{ "straße"|upper }}{{ "ÀB"|lower }}{{ "hELLO"|capitalize }}{{ "  x ".strip() }}|{{ " x ".lstrip() }}|{{ " x ".rstrip() }}|{{ "abc".startswith("a") }}{{ "abc".endswith(("b", "c")) }}{{ "abc"|length }}{{ "abc".length }}{{ [1].length }}',
    '{{ "a" ~ 1 ~ 2.5 ~ true ~ "b" }}{{ "a" + 1 }}{{ 1 + 2 }}{{ [1] + [2] }}{{ 1 ~ 2 }}{{ [1, "a"] ~ "x" }}{{ 1 == 1.0 }}{{ "a" == "a" }}{{ none == none }}{{ [1] == [1] }}{{ 1 != 2 }}',
    '{% for k, v in {"b": 1, "a": 2}.items() %}{{ k }}{{ v }}{% endfor %}{% for k in {"q": 1} %}{{ k }}{% endfor %}{{ {"b": 1, "a": 2}|dictsort }}{{ {"a": 1}.get("b", 3) }}{{ {"a": 1}.keys() }}{{ {"a": 1}|length }}{{ {"a": 1}.values()|list }}{{ {"items": 5}.items }}',
    '{% for m in messages if m.role == "user" %}{{ loop.index }}{{ loop.last }}{{ m.content }}{% else %}none{% endfor %}{% for i in [1, 2, 3] %}{{ loop.previtem }}{{ loop.nextitem }}{% endfor %}',
    '{{ [3, 1, 2]|sort }}{{ ["b", "A"]|sort }}{{ ["b", "A"]|sort(case_sensitive=true, reverse=true) }}{{ [1, 1, 2]|unique }}{{ [1, 2]|reverse }}{{ [1, 2]|first }}{{ messages|selectattr("role", "equalto", "user")|list|length }}{{ messages|sort(attribute="role")|first }}{{ x|default("d") }}{{ "3"|int + 1 }}{{ "x"|int(7) }}',
    '{% macro f(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1) }}{{ f(1, 3, 4, c=5) }}{{ f(*[1, 2]) }}{% macro g() %}<{{ caller(1) }}>{% endmacro %}{% call(x) g() %}{{ x }}!{% endcall %}{% filter upper %}abc{% endfilter %}{% set b %}block{% endset %}{{ b }}',
  ]
  it.each(templates)('%s', async template => {
    const expected = reference(template)
    expect(expected).toBeDefined()
    expect(await render(template)).toBe(expected)
  })

  it('compares no list with a text', async () => {
    expect(await render('{{ [] == "" }}{{ ["a"] == "a" }}{{ {} != "[object Map]" }}{{ range == "x" }}')).toBe('falsefalsetruefalse')
  })

  // MOEBIUS_FUZZ_SECONDS makes it a long hunt over fresh templates instead of the same 2000; then
  // nothing is compared, for the original interpreter has no bounds of its own.
  it('holds for 2000 random templates', async () => {
    const seconds = Number(process.env.MOEBIUS_FUZZ_SECONDS ?? 0)
    const seed = seconds > 0 ? Date.now() : 20261121
    const until = performance.now() + seconds * 1000
    if (seconds > 0) console.log(`seed ${seed}`)
    const random = new Random(seed)
    let compared = 0
    let round = 0
    for (; seconds > 0 ? performance.now() < until : round < 2000; round++) {
      const template = random.template()
      const outcome = await render(template).then(text => ({ text }), (error: { code: string }) => ({ code: error.code }))
      const expected = seconds > 0 ? undefined : reference(template)
      if ('code' in outcome) expect(outcome.code, template).toBe('E_BAD_REQUEST')
      else if (expected !== undefined) {
        expect(outcome.text, template).toBe(expected)
        compared++
      }
    }
    if (seconds > 0) console.log(`${round} templates`)
    else expect(compared).toBeGreaterThan(500)
  }, 30_000 + Number(process.env.MOEBIUS_FUZZ_SECONDS ?? 0) * 1000)
})

// Small templates from a grammar of the constructs; the same for the same seed.
class Random {
  constructor(private state: number) {}

  private below(bound: number): number {
    this.state = (Math.imul(this.state, 1103515245) + 12345) >>> 0
    return Math.floor(this.state / 65536) % bound
  }

  private pick(...choices: string[]): string {
    return choices[this.below(choices.length)] ?? ''
  }

  private text(depth: number): string {
    if (depth <= 0) return this.pick('"a"', '"b c"', '"x,y,,z"', '""', '"Üß\\n😀"', 'messages[0].content', 'ns.s', 'messages[1]["role"]', 'bos_token')
    const inner = this.text(depth - 1)
    switch (this.below(9)) {
      case 0: return `(${inner} ~ ${this.value(depth - 1)})`
      case 1: return `${inner}${this.pick('|upper', '|lower', '|title', '|trim', '|capitalize', '|tojson', '|string', '|indent', '|indent(2, true)', '.strip()', '.rstrip()', '|tojson(ensure_ascii=true)')}`
      case 2: return `${inner}.replace(${this.text(0)}, ${this.text(0)}${this.pick('', ', 1', ', 0')})`
      case 3: return `${this.list(depth - 1)}|join(${this.text(0)})`
      case 4: return `(${inner})${this.slice()}`
      case 5: return `${this.value(depth - 1)}|tojson${this.pick('', '(indent=2)', '(sort_keys=true)', '(separators=(",", ":"))')}`
      case 6: return `(${inner} if ${this.test(depth - 1)} else ${this.text(depth - 1)})`
      case 7: return `f(${inner})`
      default: return `(${inner} + ${this.text(depth - 1)})`
    }
  }

  private slice(): string {
    return this.pick('[1:]', '[:-1]', '[::-1]', '[1:3]', '[::2]', '[-2:]', '[3:1:-1]', '[:]')
  }

  private list(depth: number): string {
    if (depth <= 0) return this.pick('[1, 2]', '[]', 'messages', '["b", "a"]', 'range(4)', 'ns.l', '[none, true, 1.5]')
    const inner = this.list(depth - 1)
    switch (this.below(6)) {
      case 0: return `[${this.value(depth - 1)}, ${this.value(depth - 1)}]`
      case 1: return `(${inner} + ${this.list(depth - 1)})`
      case 2: return `${inner}${this.pick('|reverse', '|list', '|unique', '|sort', '|map(attribute="role")', '|selectattr("role")', '|rejectattr("role", "equalto", "user")')}`
      case 3: return `(${inner})${this.slice()}`
      case 4: return `${this.text(depth - 1)}.split(${this.pick('', '","', '"a"', '" ", 1')})`
      default: return `${this.dictionary(depth - 1)}${this.pick('.items()', '|items', '.keys()', '.values()', '|dictsort')}`
    }
  }

  private dictionary(depth: number): string {
    return this.pick(`{"k": ${this.value(depth - 1)}, ${this.text(0)}: 1}`, '{}', 'messages[0]', `{"z": ${this.value(depth - 1)}, "b": 2}`)
  }

  private value(depth: number): string {
    switch (this.below(6)) {
      case 0: return this.list(depth)
      case 1: return this.dictionary(depth)
      case 2: return this.pick('1', '0', '-3', '2.5', 'true', 'none', 'missing', 'loop.index', '7 // 2', '2 ** 3', '1 / 4')
      case 3: return `(${this.test(depth)})`
      default: return this.text(depth)
    }
  }

  private test(depth: number): string {
    const inner = depth > 0 ? this.value(depth - 1) : 'true'
    // Lists are compared with nothing: there the interpreter turns them into text.
    return this.pick(`${inner} is ${this.pick('string', 'defined', 'none', 'mapping', 'iterable', 'not number')}`, `${this.text(0)} in ${this.text(0)}`, `${this.text(0)} == ${this.text(0)}`, `not ${inner}`, `${inner} and ${inner}`, `"role" in messages[0]`, `1 in ${this.list(0)}`)
  }

  private statement(depth: number): string {
    const body = depth > 0 ? this.statements(depth - 1) : 'x'
    switch (this.below(9)) {
      case 0: return `{% if ${this.test(2)} %}${body}{% elif ${this.test(1)} %}y{% else %}${body}{% endif %}`
      case 1: return `{% for i in ${this.list(2)}${this.pick('', ' if loop is defined', ' if i')} %}${body}{{ loop.index }}${this.pick('', '{% continue %}', '{% break %}')}{% else %}e{% endfor %}`
      case 2: return `{% set ns.s = ${this.text(1)} %}`
      case 3: return `{% set ns.l = ${this.list(2)} %}`
      case 4: return `{% set v %}${body}{% endset %}{{ v|length }}`
      case 5: return `{% filter ${this.pick('upper', 'replace("a", "bb")', 'indent(1)', 'trim')} %}${body}{% endfilter %}`
      case 6: return `{% call g() %}${body}{% endcall %}`
      case 7: return this.pick(' text \n', '{# note #}', '\n  {%- set q = 1 -%}  \n')
      default: return `{{${this.pick('', '-')} ${this.value(3)} ${this.pick('', '-')}}}`
    }
  }

  private statements(depth: number): string {
    return Array.from({ length: 1 + this.below(3) }, () => this.statement(depth)).join('')
  }

  template(): string {
    return `{% set ns = namespace(s="s", l=[3]) %}{% macro f(a, b=1) %}<{{ a }}{{ b }}>{% endmacro %}{% macro g() %}({{ caller() }}){% endmacro %}${this.statements(2)}`
  }
}
