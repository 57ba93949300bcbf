// RoutingFrame/1: what the router chose, drained from the engine 10 to 15 times a second.
// Little-endian. Header of 32 bytes, then the payload of its kind.
//
//   0  char[4] "MBR1"
//   4  u16 kind: 1 aggregate since the last frame, 3 reset (a new model or conversation; no payload)
//   6  u16 flags: 1 = phase of the last token is prefill
//   8  u32 epoch: changes with the model
//  12  u32 n_tokens in this frame
//  16  u64 first token counter of the session
//  24  u16 n_layers (MoE layers), u16 n_routed_experts, u16 n_active_experts, u16 first MoE layer's index
//  32  kind 1: u16 last_ids[n_layers][n_active]  the last token's experts, 0xFFFF = empty slot
//              u16 last_weights (f16 bits)[n_layers][n_active]
//              u16 count[n_layers][n_routed_experts]  selections since the last frame
export const routingFrameHeaderBytes = 32

export interface RoutingFrame {
  kind: 'aggregate' | 'reset'
  prefill: boolean
  epoch: number
  nTokens: number
  firstToken: number
  nLayers: number
  nRoutedExperts: number
  nActiveExperts: number
  firstMoeLayer: number
  lastIds: Uint16Array        // [n_layers, n_active]
  lastWeights: Float32Array   // [n_layers, n_active]
  count: Uint16Array          // [n_layers, n_routed_experts]
}

export function encodeRoutingFrame(frame: RoutingFrame): Uint8Array {
  const cells = frame.kind === 'reset' ? 0 : frame.lastIds.length * 2 + frame.count.length
  const bytes = new Uint8Array(routingFrameHeaderBytes + cells * 2)
  const view = new DataView(bytes.buffer)
  bytes.set([0x4d, 0x42, 0x52, 0x31])
  view.setUint16(4, frame.kind === 'reset' ? 3 : 1, true)
  view.setUint16(6, frame.prefill ? 1 : 0, true)
  view.setUint32(8, frame.epoch, true)
  view.setUint32(12, frame.nTokens, true)
  view.setBigUint64(16, BigInt(frame.firstToken), true)
  const shape = [frame.nLayers, frame.nRoutedExperts, frame.nActiveExperts, frame.firstMoeLayer]
  shape.forEach((value, i) => view.setUint16(24 + 2 * i, value, true))
  if (frame.kind === 'reset') return bytes
  let at = routingFrameHeaderBytes
  const put = (value: number): void => { view.setUint16(at, value, true); at += 2 }
  frame.lastIds.forEach(put)
  frame.lastWeights.forEach(weight => put(toHalf(weight)))
  frame.count.forEach(put)
  return bytes
}

// Returns undefined for bytes that are no frame of this version.
export function decodeRoutingFrame(bytes: Uint8Array): RoutingFrame | undefined {
  if (bytes.length < routingFrameHeaderBytes) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== 0x3152424d) return undefined
  const kindId = view.getUint16(4, true)
  if (kindId !== 1 && kindId !== 3) return undefined
  const [nLayers = 0, nRoutedExperts = 0, nActiveExperts = 0, firstMoeLayer = 0] = [24, 26, 28, 30].map(at => view.getUint16(at, true))
  const slots = kindId === 3 ? 0 : nLayers * nActiveExperts
  const cells = kindId === 3 ? 0 : nLayers * nRoutedExperts
  if (bytes.length !== routingFrameHeaderBytes + 2 * (2 * slots + cells)) return undefined
  const take = (start: number, length: number): Uint16Array =>
    Uint16Array.from({ length }, (_, i) => view.getUint16(routingFrameHeaderBytes + 2 * (start + i), true))
  return {
    kind: kindId === 3 ? 'reset' : 'aggregate',
    prefill: (view.getUint16(6, true) & 1) !== 0,
    epoch: view.getUint32(8, true),
    nTokens: view.getUint32(12, true),
    firstToken: Number(view.getBigUint64(16, true)),
    nLayers, nRoutedExperts, nActiveExperts, firstMoeLayer,
    lastIds: take(0, slots),
    lastWeights: Float32Array.from(take(slots, slots), fromHalf),
    count: take(2 * slots, cells),
  }
}

function toHalf(value: number): number {
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0] ?? 0
  const sign = (bits >>> 16) & 0x8000
  const exponent = ((bits >>> 23) & 0xff) - 112
  if (exponent <= 0) return sign
  if (exponent >= 31) return sign | 0x7c00
  return sign | Math.min(0x7bff, (exponent << 10 | (bits >>> 13) & 0x3ff) + ((bits >>> 12) & 1))
}

function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 31
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}
