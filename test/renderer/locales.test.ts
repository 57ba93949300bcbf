import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { errorCodes } from '../../electron/contract'
import { createTranslations } from '../../renderer/locales'
import en from '../../renderer/locales/en'
import zh from '../../renderer/locales/zh-CN'

function flatten(tree: object, prefix = ''): Map<string, string> {
  const result = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === 'string') result.set(prefix + key, value)
    else for (const [inner, text] of flatten(value as object, `${prefix}${key}.`)) result.set(inner, text)
  }
  return result
}
const placeholders = (text: string): string[] => [...new Set(text.match(/\{\w+\}/g) ?? [])].filter(name => name !== '{n}').sort()
const sources = readdirSync('renderer', { recursive: true, encoding: 'utf8' }).filter(path => /\.(vue|ts)$/.test(path) && !path.startsWith('locales')).map(path => readFileSync(join('renderer', path), 'utf8'))

const english = flatten(en)
const chinese = flatten(zh)

it('has the same messages in both languages', () => {
  expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort())
})

it('uses the same placeholders in both languages', () => {
  for (const [key, text] of english) expect(placeholders(chinese.get(key) ?? ''), key).toEqual(placeholders(text))
})

it('leaves no Chinese message in English, and none empty where English has text', () => {
  const sameOnPurpose = /^(units\.tokensPerSecond|chat\.(samplingTopK|topP|minP|statTokens|tokensOf|suggest\w+)|settings\.(locale_\S+|node)|server\.(snippet\w+|prompt))$/
  for (const [key, text] of english) {
    if (sameOnPurpose.test(key)) continue
    if (text === '') expect(chinese.get(key)).toBe('')
    else expect(chinese.get(key), key).toMatch(/[\u4e00-\u9fff]/)
  }
})

it('has a title and a next step for every error code', () => {
  for (const code of errorCodes) expect(english.get(`errors.${code}.title`), code).toBeTruthy()
})

it('knows every message that the sources name', () => {
  const used = new Set(sources.flatMap(source => [...source.matchAll(/\bt\('([\w.-]+)'/g)].map(match => match[1] ?? '')))
  expect([...used].filter(key => !english.has(key))).toEqual([])
  expect(used.size).toBeGreaterThan(150)
})

it('uses every message', () => {
  const text = sources.join('\n')
  const computed = /^(errors|shortcuts|nav)\.|\.(class_|origin_|stop_|draftReason_|theme_|locale_|motion_|host_|state)|^palette\.group|^chat\.(today|yesterday|lastWeek|older)$|^models\.(broken|missing)$|^chat\.(temperature|topP|minP|repeatPenalty|samplingTopK\w*|seed\w*|maxTokens\w*)$/
  expect([...english.keys()].filter(key => !computed.test(key) && !text.includes(`'${key}'`))).toEqual([])
})

it('compiles and counts without a warning', () => {
  const { global } = createTranslations()
  expect(global.t('importing.added', { name: 'Demo', n: 3 }, 3)).toBe('3 models were added.')
  expect(global.t('chat.tokens', 1)).toBe('1 token')
  global.setLocaleMessage('zh-CN' as never, zh as never)
  global.locale.value = 'zh-CN' as never
  expect(global.t('chat.tokens', { n: 5 }, 5)).toBe('5 个 token')
})
