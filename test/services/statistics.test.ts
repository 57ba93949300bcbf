import { expect, test } from 'vitest'
import { deviation, mean, median, medianInterval } from '../../electron/services/statistics'

test('mean, deviation of the sample, median', () => {
  expect([mean([1, 2, 6]), median([6, 1, 2]), median([4, 1, 3, 2])]).toEqual([3, 2, 2.5])
  expect(deviation([1, 2, 6])).toBeCloseTo(Math.sqrt(7), 12)
  expect(deviation([5])).toBe(0)
})

test('the interval of a median holds it, repeats itself and narrows with more values', () => {
  const values = Array.from({ length: 9 }, (_, i) => i + 1)
  const interval = medianInterval(values)
  expect(interval).toEqual(medianInterval(values))
  expect(interval.median).toBe(5)
  expect([interval.low, interval.high]).toEqual([2, 8])
  const many = medianInterval(Array.from({ length: 90 }, (_, i) => i % 9 + 1))
  expect(many.high - many.low).toBeLessThan(interval.high - interval.low)
  expect(medianInterval([4])).toEqual({ median: 4, low: 4, high: 4 })
})
