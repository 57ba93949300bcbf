import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import { decodeRoutingFrame, type RoutingFrame } from '../../electron/contract'
import { workbench } from '../api/workbench'

export interface RoutingLoad {
  epoch: number
  nLayers: number
  nRoutedExperts: number
  nActiveExperts: number
  firstMoeLayer: number
  tokens: number
  prefill: boolean
  load: Float32Array          // [n_layers, n_routed_experts], moving average of each layer's shares
  lastIds: Uint16Array        // [n_layers, n_active_experts]
}

// Tokens after which an old choice weighs half.
const halfLife = 24

// Folds one frame into the moving average; a reset or a new shape starts over.
export function foldFrame(before: RoutingLoad | undefined, frame: RoutingFrame): RoutingLoad | undefined {
  if (frame.kind === 'reset') return undefined
  const cells = frame.nLayers * frame.nRoutedExperts
  const fits = before !== undefined && before.epoch === frame.epoch && before.load.length === cells
  const load = fits ? before.load : new Float32Array(cells)
  const known = fits ? before.tokens : 0
  const keep = known === 0 ? 0 : 0.5 ** (frame.nTokens / halfLife)
  const perLayer = Math.max(1, frame.nTokens * frame.nActiveExperts)
  for (let i = 0; i < cells; i++) load[i] = (load[i] ?? 0) * keep + (frame.count[i] ?? 0) / perLayer * (1 - keep)
  return {
    epoch: frame.epoch, nLayers: frame.nLayers, nRoutedExperts: frame.nRoutedExperts, nActiveExperts: frame.nActiveExperts,
    firstMoeLayer: frame.firstMoeLayer, prefill: frame.prefill, tokens: known + frame.nTokens, load, lastIds: frame.lastIds,
  }
}

// Live routing of one model. The stream is open only while somebody looks.
export const useRoutingStore = defineStore('routing', () => {
  const current = shallowRef<RoutingLoad>()
  let close: (() => void) | undefined
  let watched: string | undefined

  function watch(modelId: string | undefined): void {
    if (modelId === watched) return
    close?.()
    close = undefined
    current.value = undefined
    watched = modelId
    if (modelId === undefined) return
    close = workbench().open('routing.live', { modelId }, {
      onItem: bytes => {
        const frame = decodeRoutingFrame(bytes)
        if (frame) current.value = foldFrame(current.value, frame)
      },
      onEnd: () => { if (watched === modelId) watched = undefined },
      onError: () => { if (watched === modelId) watched = undefined },
    })
  }

  return { current, watch, stop: () => watch(undefined) }
})
