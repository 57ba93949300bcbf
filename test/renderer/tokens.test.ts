// Text and controls keep WCAG AA contrast in every theme.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const css = readFileSync('renderer/styles/tokens.css', 'utf8')

function theme(selector: string): Map<string, string> {
  const start = css.indexOf(selector)
  const block = css.slice(css.indexOf('{', start), css.indexOf('}', start))
  return new Map([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name ?? '', value ?? '']))
}
function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map(at => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (high + 0.05) / (low + 0.05)
}

const surfaces = ['page', 'side', 'raised', 'sunken']
const texts = ['text', 'text-muted', 'text-faint', 'accent', 'danger', 'warning', 'success']
const pairs: [string, string, number][] = [
  ...surfaces.flatMap(surface => texts.map((text): [string, string, number] => [text, surface, 4.5])),
  ['text', 'user-bubble', 4.5], ['on-accent', 'accent', 4.5], ['on-danger', 'danger', 4.5], ['accent', 'accent-soft', 4.5], ['text', 'accent-soft', 4.5],
  ['danger', 'danger-soft', 4.5], ['warning', 'warning-soft', 4.5], ['success', 'success-soft', 4.5], ['text', 'danger-soft', 4.5], ['text', 'warning-soft', 4.5],
  ...['keyword', 'string', 'constant', 'function', 'comment', 'parameter', 'punctuation'].map((kind): [string, string, number] => [`code-${kind}`, 'sunken', 4.5]),
  ['border-strong', 'raised', 3], ['border-strong', 'page', 3], ['focus', 'page', 3], ['focus', 'side', 3],
]

it.each([['light', '[data-theme=\'light\']'], ['dark', '[data-theme=\'dark\']'], ['contrast', '[data-theme=\'contrast\']']])('keeps contrast in the %s theme', (name, selector) => {
  const tokens = theme(selector)
  const failing = pairs.map(([front, back, least]) => ({ front, back, least, ratio: contrast(tokens.get(front) ?? '#808080', tokens.get(back) ?? '#808080') }))
    .filter(({ ratio, least }) => ratio < (name === 'contrast' ? Math.max(least, least === 4.5 ? 7 : 3) : least))
  expect(failing).toEqual([])
})

it('defines the same tokens in every theme', () => {
  const names = [...theme('[data-theme=\'light\']').keys()].sort()
  expect([...theme('[data-theme=\'dark\']').keys()].sort()).toEqual(names)
  expect(names.length).toBeGreaterThan(30)
})
