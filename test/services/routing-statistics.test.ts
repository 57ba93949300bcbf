import { describe, expect, it } from 'vitest'
import { layerStatistics } from '../../electron/services/routing-statistics'

describe('layerStatistics', () => {
  it('equals hand-computed values', () => {
    // Four tokens choose two of four experts: counts 4, 2, 1, 1; loads ×4/8.
    const result = layerStatistics({ nTokens: 4, nActiveExperts: 2, nRoutedExperts: 4, ids: [0, 1, 0, 1, 0, 2, 0, 3], weights: [0.5, 0.5, 1, 0, 0.75, 0.25, 0.5, 0.5] })
    expect(result.count).toEqual([4, 2, 1, 1])
    expect(result.load).toEqual([2, 1, 0.5, 0.5])
    expect(result.weightMass).toEqual([2.75, 0.5, 0.25, 0.5])
    expect(result.maxViolation).toBe(1)
    expect(result.balancedness).toBe(0.5)
    // Squared deviations 1, 0, 0.25, 0.25 around the mean 1.
    expect(result.coefficientOfVariation).toBeCloseTo(Math.sqrt(1.5 / 4), 12)
    // Ascending 0.5, 0.5, 1, 2 with factors -3, -1, 1, 3 over 4·4.
    expect(result.gini).toBeCloseTo((-1.5 - 0.5 + 1 + 6) / 16, 12)
    // Shares 1/2, 1/4, 1/8, 1/8: 1.75 bits.
    expect(result.effectiveExperts).toBeCloseTo(2 ** 1.75, 12)
    expect(result.normalizedEntropy).toBeCloseTo(1.75 / 2, 12)
    expect([result.dead, result.cold, result.deadRateBound, result.nTokens]).toEqual([[], [], 0.75, 4])
  })

  it('is perfect for uniform loads', () => {
    const result = layerStatistics({ nTokens: 3, nActiveExperts: 1, nRoutedExperts: 3, ids: [2, 0, 1], weights: [1, 1, 1] })
    expect(result).toMatchObject({ load: [1, 1, 1], maxViolation: 0, balancedness: 1, coefficientOfVariation: 0, gini: 0, normalizedEntropy: 1 })
    expect(result.effectiveExperts).toBeCloseTo(3, 12)
  })

  it('tells dead from cold and bounds the rate of the dead', () => {
    // 60 tokens, one of 4: expert 0 58 times, 1 once (load 0.067), 2 once, 3 never.
    const ids = [...new Array<number>(58).fill(0), 1, 2]
    const result = layerStatistics({ nTokens: 60, nActiveExperts: 1, nRoutedExperts: 4, ids, weights: ids.map(() => 1) })
    expect([result.dead, result.cold]).toEqual([[3], [1, 2]])
    expect(result.deadRateBound).toBeCloseTo(0.05, 12)
    expect(result.maxViolation).toBeCloseTo(4 * 58 / 60 - 1, 12)
  })

  it('has extremes: one expert takes all, one expert exists', () => {
    expect(layerStatistics({ nTokens: 2, nActiveExperts: 1, nRoutedExperts: 4, ids: [1, 1], weights: [1, 1] })).toMatchObject({ gini: 0.75, effectiveExperts: 1, normalizedEntropy: 0, maxViolation: 3, deadRateBound: 1 })
    expect(layerStatistics({ nTokens: 1, nActiveExperts: 1, nRoutedExperts: 1, ids: [0], weights: [1] })).toMatchObject({ gini: 0, normalizedEntropy: 1, maxViolation: 0 })
  })

  it('leaves empty slots out', () => {
    const result = layerStatistics({ nTokens: 2, nActiveExperts: 2, nRoutedExperts: 2, ids: [0, -1, 0, 0xffff], weights: [1, 9, 1, 9] })
    expect([result.count, result.weightMass]).toEqual([[2, 0], [2, 0]])
    expect(() => layerStatistics({ nTokens: 0, nActiveExperts: 1, nRoutedExperts: 1, ids: [], weights: [] })).toThrow('at least one token')
  })
})
