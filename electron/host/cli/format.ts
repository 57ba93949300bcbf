// Numbers and tables for people.
import type { StreamedExperts } from '../../contract'

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`
}

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1, 'b': 1, 'kib': 2 ** 10, 'mib': 2 ** 20, 'gib': 2 ** 30, 'tib': 2 ** 40, 'k': 2 ** 10, 'm': 2 ** 20, 'g': 2 ** 30, 't': 2 ** 40,
  'kb': 1e3, 'mb': 1e6, 'gb': 1e9, 'tb': 1e12,
}

// "8GiB", "1.5 gb", "4096": whole bytes, undefined when it is no size. G means GiB.
export function parseSize(text: string): number | undefined {
  const [, number, unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? []
  const factor = sizeUnits[unit.toLowerCase()]
  if (number === undefined || factor === undefined) return undefined
  const bytes = Math.floor(Number(number) * factor)
  return bytes <= 2 ** 50 ? bytes : undefined
}

export function formatCount(count: number): string {
  for (const [size, name] of [[1e12, 'T'], [1e9, 'B'], [1e6, 'M'], [1e3, 'K']] as const) {
    if (count >= size) return `${(count / size).toFixed(count / size < 10 ? 2 : 1)}${name}`
  }
  return String(count)
}

// "experts: 81.3 % of 5120 in memory, 1.20 GiB read at 1.9 GB/s, 512 ms waited"
export function streamText({ hits, misses, bytesRead, readMs, waitMs }: StreamedExperts): string {
  const share = hits + misses > 0 ? 100 * hits / (hits + misses) : 100
  const speed = readMs > 0 ? ` at ${(bytesRead / readMs / 1e6).toFixed(1)} GB/s` : ''
  return `experts: ${share.toFixed(1)} % of ${hits + misses} in memory, ${formatBytes(bytesRead)} read${speed}, ${Math.round(waitMs)} ms waited`
}

// Columns of text under a header; the columns named are aligned to the right.
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map(row => (row[column] ?? '').length)))
  return all.map(row => row.map((cell, column) => right.includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n') + '\n'
}

export function formatPairs(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n') + '\n'
}

// Metadata and tensor names come from files: control characters must not reach a terminal.
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are the characters to remove
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd')
}

export function toJsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}
