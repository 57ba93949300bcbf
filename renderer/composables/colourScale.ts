// A perceptual scale from near-background to bright in the manner of viridis: 256 entries
// of RGBA, interpolated between measured stops.
const stops: readonly [number, number, number][] = [
  [68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37],
]

export const colourScale: Uint8ClampedArray = buildScale()

function buildScale(): Uint8ClampedArray {
  const table = new Uint8ClampedArray(256 * 4)
  for (let i = 0; i < 256; i++) {
    const at = i / 255 * (stops.length - 1)
    const low = stops[Math.floor(at)] ?? stops[0]
    const high = stops[Math.min(stops.length - 1, Math.floor(at) + 1)] ?? low
    for (let c = 0; c < 3; c++) table[i * 4 + c] = (low?.[c] ?? 0) + ((high?.[c] ?? 0) - (low?.[c] ?? 0)) * (at % 1)
    table[i * 4 + 3] = 255
  }
  return table
}

// Index into the table for a share of a layer's tokens. The square root lifts small shares;
// the top is eight times an even load.
export function scaleIndex(share: number, nExperts: number): number {
  return Math.round(Math.sqrt(Math.min(1, Math.max(0, share * nExperts / 8))) * 255)
}
