// How much memory the streamed experts of a model get: what was asked for, what the settings
// remember, and what would make a model fit that does not.
import type { MemoryEstimate, StreamedExperts } from '../contract'
import type { EngineEstimate } from '../engine/types'

const mebibyte = 2 ** 20

export const noExperts: StreamedExperts = { memoryBytes: 0, slotsPerLayer: 0, hits: 0, misses: 0, bytesRead: 0, readMs: 0, waitMs: 0 }

// The counters so far and those of one more run, between `before` and `after`.
export function addExperts(soFar: StreamedExperts, before: StreamedExperts, after: StreamedExperts): StreamedExperts {
  const more = (name: 'hits' | 'misses' | 'bytesRead' | 'readMs' | 'waitMs'): number => soFar[name] + after[name] - before[name]
  const { memoryBytes, slotsPerLayer } = after
  return { memoryBytes, slotsPerLayer, hits: more('hits'), misses: more('misses'), bytesRead: more('bytesRead'), readMs: more('readMs'), waitMs: more('waitMs') }
}

// The setting of this model, else the default of the program, which is for models with experts.
export function rememberedExpertMemory(settings: Readonly<Record<string, number>>, modelId: string, otherwise: number, nRoutedExperts: number): number {
  return settings[modelId] ?? (nRoutedExperts > 0 ? otherwise : 0)
}

// The settings with this model's choice in them; 0 takes it out.
export function withExpertMemory(settings: Readonly<Record<string, number>>, modelId: string, bytes: number): Record<string, number> {
  const others = Object.entries(settings).filter(([id]) => id !== modelId)
  return Object.fromEntries(bytes > 0 ? [...others, [modelId, bytes]] : others)
}

// What the experts may take when `least` is the estimate with the smallest expert memory.
// undefined: not even that fits.
export function suggestExpertMemory(least: EngineEstimate, usableBytes: number): number | undefined {
  const { experts, totalBytes } = least
  if (!experts || totalBytes > usableBytes) return undefined
  const bytes = experts.memoryBytes + usableBytes - totalBytes
  return Math.min(experts.mostBytes, Math.max(experts.leastBytes, Math.floor(bytes / mebibyte) * mebibyte))
}

// "5.2 GiB of experts, 24 of 64 in each layer"
export function expertsText({ memoryBytes, slotsPerLayer, routedExperts }: NonNullable<MemoryEstimate['experts']>): string {
  return `${(memoryBytes / 2 ** 30).toFixed(1)} GiB of experts, ${slotsPerLayer} of ${routedExperts} in each layer`
}
