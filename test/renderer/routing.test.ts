import { beforeEach, expect, it } from 'vitest'
import { encodeRoutingFrame, type RoutingFrame } from '../../electron/contract'
import { fillPixels, geometryOf } from '../../renderer/features/chat/useRoutingCanvas'
import { foldFrame, useRoutingStore } from '../../renderer/stores/routing'
import type { FakeWorkbench } from './fake-workbench'
import { startFake } from './support'

function frame(patch: Partial<RoutingFrame> = {}): RoutingFrame {
  const [nLayers, nRoutedExperts, nActiveExperts] = [2, 4, 2]
  return {
    kind: 'aggregate', prefill: false, epoch: 1, nTokens: 1, firstToken: 0, nLayers, nRoutedExperts, nActiveExperts, firstMoeLayer: 1,
    lastIds: Uint16Array.of(0, 1, 2, 3), lastWeights: Float32Array.of(0.5, 0.5, 0.5, 0.5), count: Uint16Array.of(1, 1, 0, 0, 0, 0, 1, 1), ...patch,
  }
}

let fake: FakeWorkbench
beforeEach(() => { fake = startFake() })

it('keeps shares of each layer that add up to one', () => {
  let load = foldFrame(undefined, frame())
  expect([...load!.load]).toEqual([0.5, 0.5, 0, 0, 0, 0, 0.5, 0.5])
  for (let i = 0; i < 50; i++) load = foldFrame(load, frame({ nTokens: 3, count: Uint16Array.of(0, 3, 3, 0, 2, 2, 1, 1) }))
  for (const layer of [0, 1]) expect(load!.load.subarray(layer * 4, layer * 4 + 4).reduce((sum, share) => sum + share)).toBeCloseTo(1, 5)
  expect(load!.load[0]).toBeLessThan(0.05)
  expect(load!.tokens).toBe(151)
})

it('starts over with a reset, another model or another shape', () => {
  const load = foldFrame(undefined, frame())
  expect(foldFrame(load, frame({ kind: 'reset' }))).toBeUndefined()
  expect(foldFrame(load, frame({ epoch: 2 }))?.tokens).toBe(1)
})

it('opens the stream only while somebody looks', () => {
  const routing = useRoutingStore()
  routing.watch('demo')
  routing.watch('demo')
  expect(fake.streams.filter(stream => !stream.closed).length).toBe(1)
  fake.streams[0]!.handlers.onItem(encodeRoutingFrame(frame()) as never)
  expect(routing.current?.tokens).toBe(1)
  fake.streams[0]!.handlers.onItem(Uint8Array.of(1, 2, 3) as never)
  expect(routing.current?.tokens).toBe(1)
  routing.stop()
  expect(fake.streams.every(stream => stream.closed)).toBe(true)
  expect(routing.current).toBeUndefined()
})

it('draws layers across and experts down', () => {
  const load = foldFrame(undefined, frame())!
  const pixels = new Uint8ClampedArray(2 * 4 * 4)
  fillPixels(load, pixels)
  const at = (layer: number, expert: number): number[] => [...pixels.subarray((expert * 2 + layer) * 4, (expert * 2 + layer) * 4 + 4)]
  expect(at(0, 0)).toEqual(at(1, 2))
  expect(at(0, 2)).toEqual([68, 1, 84, 255])
  expect(at(0, 0)).not.toEqual(at(0, 2))
})

it('fits large models into the strip and keeps small ones small', () => {
  expect(geometryOf({ nLayers: 58, nRoutedExperts: 256 }, 208, 500)).toMatchObject({ width: 208, height: 500 })
  expect(geometryOf({ nLayers: 5, nRoutedExperts: 32 }, 208, 900)).toMatchObject({ cellWidth: 36, cellHeight: 18 })
})
