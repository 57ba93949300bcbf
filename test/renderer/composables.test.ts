import { afterEach, expect, it, vi } from 'vitest'
import { colourScale, scaleIndex } from '../../renderer/composables/colourScale'
import { frameThrottle } from '../../renderer/composables/useFrameThrottle'
import { endOfSentences, useSentences } from '../../renderer/composables/useSentences'
import { keysOf, matchesKeys, shortcuts } from '../../renderer/composables/useShortcuts'

afterEach(() => { vi.useRealTimers() })

it('finds whole sentences in several scripts', () => {
  expect(endOfSentences('Half a', 0)).toBe(0)
  expect(endOfSentences('One. Two', 0)).toBe(4)
  expect(endOfSentences('3.14 is pi', 0)).toBe(0)
  expect(endOfSentences('他说完了。然后', 0)).toBe(5)
  expect(endOfSentences('A line\nand', 0)).toBe(7)
})

it('announces each sentence once', () => {
  const { announced, feed, finish, reset } = useSentences()
  feed('One')
  expect(announced.value).toBe('')
  feed('One. Two')
  expect(announced.value).toBe('One.')
  feed('One. Two! Three')
  expect(announced.value).toBe('Two!')
  finish('One. Two! Three')
  expect(announced.value).toBe('Three')
  reset()
  feed('New. x')
  expect(announced.value).toBe('New.')
})

it('throttles painting and keeps no frame when nothing is asked', () => {
  vi.useFakeTimers({ toFake: ['requestAnimationFrame', 'cancelAnimationFrame', 'performance'] })
  const paint = vi.fn()
  const throttle = frameThrottle(paint, 50)
  for (let i = 0; i < 60; i++) { throttle.request(); vi.advanceTimersByTime(16) }
  expect(paint.mock.calls.length).toBeGreaterThan(10)
  expect(paint.mock.calls.length).toBeLessThanOrEqual(20)
  vi.advanceTimersByTime(200)
  expect(vi.getTimerCount()).toBe(0)
})

it('matches shortcuts exactly', () => {
  const event = (init: KeyboardEventInit): KeyboardEvent => new KeyboardEvent('keydown', init)
  expect(matchesKeys(event({ key: 'k', ctrlKey: true }), 'Mod+K', false)).toBe(true)
  expect(matchesKeys(event({ key: 'k', metaKey: true }), 'Mod+K', true)).toBe(true)
  expect(matchesKeys(event({ key: 'k', ctrlKey: true, shiftKey: true }), 'Mod+K', false)).toBe(false)
  expect(matchesKeys(event({ key: '˜', code: 'KeyN', altKey: true }), 'Alt+N', true)).toBe(true)
  expect(matchesKeys(event({ key: 'Escape' }), 'Escape', false)).toBe(true)
})

it('has no two shortcuts on one combination', () => {
  for (const desktop of [true, false]) {
    const keys = shortcuts.map(({ id }) => keysOf(id, desktop))
    expect(new Set(keys).size).toBe(keys.length)
  }
})

it('scales shares from dark to bright and never past the ends', () => {
  expect(scaleIndex(0, 32)).toBe(0)
  expect(scaleIndex(1, 32)).toBe(255)
  expect(scaleIndex(1 / 256, 256)).toBeGreaterThan(60)
  expect([...colourScale.slice(0, 4)]).toEqual([68, 1, 84, 255])
  expect([...colourScale.slice(-4)]).toEqual([253, 231, 37, 255])
  const brightness = Array.from({ length: 256 }, (_, i) => 0.2126 * colourScale[i * 4]! + 0.7152 * colourScale[i * 4 + 1]! + 0.0722 * colourScale[i * 4 + 2]!)
  for (let i = 1; i < 256; i++) expect(brightness[i]).toBeGreaterThan(brightness[i - 1]! - 0.5)
})
