// Figures over the repetitions of a measurement.

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

// Of the sample (n - 1), as llama-bench; 0 for a single value.
export function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0
  const centre = mean(values)
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1))
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] ?? Number.NaN : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

export interface MedianInterval { median: number, low: number, high: number }

// The median and where it lies in 95 of 100 resamples (percentile bootstrap, fixed seed: the
// same values give the same interval).
export function medianInterval(values: readonly number[], resamples = 10_000): MedianInterval {
  const random = seeded(1)
  const medians = Array.from({ length: resamples }, () => median(values.map(() => values[Math.floor(random() * values.length)] ?? Number.NaN)))
  medians.sort((a, b) => a - b)
  const at = (share: number): number => medians[Math.min(resamples - 1, Math.floor(share * resamples))] ?? Number.NaN
  return { median: median(values), low: at(0.025), high: at(0.975) }
}

// mulberry32: [0, 1).
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
