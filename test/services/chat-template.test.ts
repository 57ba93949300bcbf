import { describe, expect, it } from 'vitest'
import { renderChatTemplate, type TemplateMessage } from '../../electron/services/chat-template'
import { chatml, deepseekR1, deepseekV2, deepseekV3, gemma3, llama3, mistral, qwen3 } from './chat-template-families'

const conversation: TemplateMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: '<think>\na greeting\n</think>\n\nHello' },
  { role: 'user', content: ' 2 + 2? ' },
]

function render(template: string, options: { messages?: TemplateMessage[], bos?: string, eos?: string, generate?: boolean, extra?: Record<string, unknown>, now?: Date } = {}): Promise<string> {
  return renderChatTemplate(template, {
    messages: options.messages ?? conversation, addGenerationPrompt: options.generate ?? true,
    bosToken: options.bos ?? '<s>', eosToken: options.eos ?? '</s>',
    ...(options.extra && { extra: options.extra }), ...(options.now && { now: options.now }),
  })
}

describe('chat templates of real families', () => {
  it('chatml', async () => {
    expect(await render(chatml)).toBe('<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\na greeting\n</think>\n\nHello<|im_end|>\n<|im_start|>user\n 2 + 2? <|im_end|>\n<|im_start|>assistant\n')
    expect(await render(chatml, { messages: [{ role: 'user', content: 'x' }], generate: false })).toBe('<|im_start|>user\nx<|im_end|>\n')
  })

  it('qwen 3 drops old reasoning and strips only line breaks', async () => {
    expect(await render(qwen3)).toBe('<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\n 2 + 2? <|im_end|>\n<|im_start|>assistant\n')
    const indented = [{ role: 'user', content: 'code' }, { role: 'assistant', content: '<think>x</think>\n\n    indented' }, { role: 'user', content: 'more' }]
    expect(await render(qwen3, { messages: indented })).toContain('<|im_start|>assistant\n    indented<|im_end|>')
    expect(await render(qwen3, { extra: { enable_thinking: false } })).toMatch(/assistant\n<think>\n\n<\/think>\n\n$/)
  })

  it('deepseek v2, v3, r1', async () => {
    expect(await render(deepseekV2, { bos: '<｜begin▁of▁sentence｜>', eos: '<｜end▁of▁sentence｜>' }))
      .toBe('<｜begin▁of▁sentence｜>Be brief.\n\nUser: Hi\n\nAssistant: <think>\na greeting\n</think>\n\nHello<｜end▁of▁sentence｜>User:  2 + 2? \n\nAssistant:')
    const v3 = '<｜begin▁of▁sentence｜>Be brief.<｜User｜>Hi<｜Assistant｜>\n\nHello<｜end▁of▁sentence｜><｜User｜> 2 + 2? <｜Assistant｜>'
    expect(await render(deepseekV3, { bos: '<｜begin▁of▁sentence｜>' })).toBe(v3)
    expect(await render(deepseekR1, { bos: '<｜begin▁of▁sentence｜>' })).toBe(`${v3}<think>\n`)
  })

  it('llama 3 tells the date in English', async () => {
    expect(await render(llama3, { bos: '<|begin_of_text|>', now: new Date(2026, 4, 7) })).toBe(
      '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 07 May 2026\n\nBe brief.<|eot_id|>'
      + '<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n<think>\na greeting\n</think>\n\nHello<|eot_id|>'
      + '<|start_header_id|>user<|end_header_id|>\n\n2 + 2?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n')
  })

  it('gemma 3 folds the system text into the first turn', async () => {
    expect(await render(gemma3, { bos: '<bos>' })).toBe('<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\n<think>\na greeting\n</think>\n\nHello<end_of_turn>\n<start_of_turn>user\n2 + 2?<end_of_turn>\n<start_of_turn>model\n')
  })

  it('mistral', async () => {
    expect(await render(mistral)).toBe('<s>[INST] Be brief.\n\nHi[/INST] <think>\na greeting\n</think>\n\nHello</s>[INST]  2 + 2? [/INST]')
  })

  it('passes on the template\'s own refusal', async () => {
    const twice = [{ role: 'user', content: 'a' }, { role: 'user', content: 'b' }]
    await expect(render(gemma3, { messages: twice })).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: 'Conversation roles must alternate user/assistant/user/assistant/...' })
  })
})

describe('what templates may use', () => {
  it('has the functions and filters chat templates rely on', async () => {
    expect(await render(`{{ tools | tojson }}|{{ {'b': 1}|tojson(indent=2) }}|{{ range(1, 7, 2)|list|join(',') }}|{{ 'xxay'.lstrip('x') }}|{{ 'abc'.strip('ca') }}|{{ messages|selectattr('role', 'equalto', 'user')|list|length }}`, { extra: { tools: [{ name: '中' }] } }))
      .toBe('[{"name": "中"}]|{\n  "b": 1\n}|1,3,5|ay|b|2')
    expect(await render(`{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(20) }}`)).toBe('20191817161514131211109876543210')
    expect(await render(`{{ strftime_now('%Y-%m-%d %H:%M:%S %j %A %B %%') }}`, { now: new Date(2026, 10, 21, 8, 5, 9) })).toBe('2026-11-21 08:05:09 325 Saturday November %')
    expect(await render('{{ messages[1].content.lstrip(5) }}').catch((error: Error) => error.message)).toMatch(/strip\(\) works on strings/)
  })

  it('cannot be given functions or shadowed built-ins by a request', async () => {
    expect(await render(`{{ evil is defined }}|{{ range(2)|join }}|{{ true }}`, { extra: { evil: () => 1, range: 'no', true: 'no', namespace: 'no' } })).toBe('false|01|true')
  })
})

describe('hostile templates', () => {
  const bomb = '{% set ns = namespace(s="' + 'a'.repeat(1000) + '") %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}'
  const nestedLists = '{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a|tojson }}'
  const cases: [string, string, RegExp][] = [
    ['endless work', '{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}', /steps|output|characters|memory|ms/],
    ['a huge range', '{% for i in range(1000000000) %}{% endfor %}', /range\(\) of 1000000000 items/],
    ['endless recursion', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', /calls nest deeper than 64/],
    ['two macros calling each other', '{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}', /nest deeper/],
    ['a growing string', bomb, /characters/],
    ['a growing list', '{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}', /items|memory/],
    ['shared nested lists', nestedLists, /characters/],
    ['a namespace within itself', '{% set ns = namespace() %}{% set ns.a = ns %}{{ ns|tojson }}', /nests too deeply/],
    ['an amplifying replace', '{% set s = "a" %}{% set ns = namespace(s="' + 'a'.repeat(4000) + '") %}{% for i in range(10) %}{% set ns.s = ns.s.replace("a", ns.s) %}{% endfor %}', /characters|too large|memory|ms/],
    ['a huge indent', '{{ "a\\nb"|indent(width=500000000) }}{{ [1]|tojson(indent=536870000) }}', /characters|too large|memory|ms/],
    ['deep parentheses', '{{ ' + '('.repeat(100_000) + '1' + ')'.repeat(100_000) + ' }}', /nests/],
    ['deep blocks', '{% if true %}'.repeat(20_000) + '{% endif %}'.repeat(20_000), /nests/],
    ['a syntax error', '{% for %}', /cannot be rendered/],
    ['an unclosed expression', '{{ messages', /cannot be rendered/],
    ['an unknown function', '{{ load_file("/etc/passwd") }}', /not a function/],
    ['a template of megabytes', ' '.repeat(10) + 'x'.repeat(1_000_001), /longer than 1000000/],
  ]
  it.each(cases)('%s', async (_, template, message) => {
    await expect(render(template)).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: expect.stringMatching(message) })
    expect(await render('{{ 1 + 1 }}')).toBe('2')
  }, 20_000)

  it('reaches no host object', async () => {
    const names = ['constructor', '__proto__', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', '__class__', '__globals__', 'apply', 'call', 'bind', 'value', 'builtins', '__defineGetter__', 'caller', 'arguments']
    const bases = ['""', '1', '[]', '{}', 'messages', 'messages[0]', 'range', 'raise_exception', 'namespace', 'namespace()', 'none', 'true', 'undefined_thing', 'loop', 'self']
    for (const base of bases) {
      for (const name of names) {
        for (const access of [`${base}.${name}`, `${base}['${name}']`]) {
          const text = await render(`{{ (${access}) is defined }}`).catch((error: Error) => `refused: ${error.message}`)
          expect(text, access).toMatch(/^(false|refused: .*)$/)
        }
      }
    }
    expect(await render('{{ "".constructor.constructor("return process")() }}').catch((error: Error) => error.message)).toMatch(/cannot be rendered/)
    for (const name of ['process', 'require', 'globalThis', 'global', 'workerData', 'parentPort', 'Buffer', 'limits', '__dirname', 'this']) {
      expect(await render(`{{ ${name} is defined }}`)).toBe('false')
    }
  })

  it('survives random templates', async () => {
    const parts = ['{{', '}}', '{%', '%}', ' if ', ' for ', ' in ', 'messages', '.', '[', ']', '(', ')', '|', 'tojson', 'join', '"a"', '1', ' endfor ', ' endif ', ' set ', 'x', '=', '~', '+', '*', '-', 'macro f()', ' endmacro ', 'range(9)', 'namespace()', ',', ':', '{', '}', ' is ', 'defined', ' not ', '#}', '{#', '\\', '\n']
    let state = 12345
    const next = (bound: number): number => { state = (Math.imul(state, 1103515245) + 12345) >>> 0; return Math.floor(state / 65536) % bound }
    for (let round = 0; round < 500; round++) {
      const template = Array.from({ length: 1 + next(30) }, () => parts[next(parts.length)]).join('')
      const outcome = await render(template || 'x').then(text => typeof text, (error: { code: string }) => error.code)
      expect(['string', 'E_BAD_REQUEST'], template).toContain(outcome)
    }
  })

  it('renders warm in little time', async () => {
    await render(llama3)
    const started = performance.now()
    for (let i = 0; i < 50; i++) await render(llama3)
    expect((performance.now() - started) / 50).toBeLessThan(20)
  })

  it('has no template, no prompt', async () => {
    await expect(render('  ')).rejects.toMatchObject({ code: 'E_BAD_REQUEST', message: 'The model file has no chat template.' })
  })
})
