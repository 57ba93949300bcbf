// How evenly a router spreads tokens over its experts: the metrics of one layer over one
// window. Pure; a metric means nothing without its number of tokens, so that goes along.
import { WorkbenchError } from '../contract'

export interface LayerChoices {
  nTokens: number
  nActiveExperts: number
  nRoutedExperts: number
  ids: ArrayLike<number>      // [n_tokens, n_active]; a value outside the experts is an empty slot
  weights: ArrayLike<number>  // [n_tokens, n_active] routing weights
}

export interface LayerStatistics {
  nTokens: number
  count: number[]             // selections per expert
  load: number[]              // N·n_e/(k·T): 1 is uniform
  weightMass: number[]        // sum of routing weights per expert
  maxViolation: number        // max load - 1
  balancedness: number        // mean load / max load
  coefficientOfVariation: number
  gini: number
  effectiveExperts: number    // exp of the entropy of the load
  normalizedEntropy: number   // entropy / ln N
  dead: number[]              // experts never chosen
  // With 95 % confidence the true rate of a dead expert is below this (rule of three).
  deadRateBound: number
  cold: number[]              // chosen, but with a load below 0.1
}

const coldLoad = 0.1

export function layerStatistics(choices: LayerChoices): LayerStatistics {
  const { nTokens, nActiveExperts, nRoutedExperts } = choices
  if (nTokens < 1 || nActiveExperts < 1 || nRoutedExperts < 1) throw new WorkbenchError('E_BAD_REQUEST', 'Routing statistics need at least one token and one expert.')
  const count = new Array<number>(nRoutedExperts).fill(0)
  const weightMass = new Array<number>(nRoutedExperts).fill(0)
  for (let slot = 0; slot < nTokens * nActiveExperts; slot++) {
    const expert = choices.ids[slot] ?? -1
    if (expert < 0 || expert >= nRoutedExperts) continue
    count[expert] = (count[expert] ?? 0) + 1
    weightMass[expert] = (weightMass[expert] ?? 0) + (choices.weights[slot] ?? 0)
  }
  const load = count.map(selections => nRoutedExperts * selections / (nActiveExperts * nTokens))
  return { nTokens, count, load, weightMass, ...spread(load), ...idle(count, load), deadRateBound: Math.min(1, 3 / nTokens) }
}

function spread(load: readonly number[]): Pick<LayerStatistics, 'maxViolation' | 'balancedness' | 'coefficientOfVariation' | 'gini' | 'effectiveExperts' | 'normalizedEntropy'> {
  const n = load.length
  const sum = load.reduce((total, value) => total + value, 0)
  const largest = Math.max(...load)
  const mean = sum / n
  const variance = load.reduce((total, value) => total + (value - mean) ** 2, 0) / n
  const ascending = [...load].sort((a, b) => a - b)
  const ranked = ascending.reduce((total, value, i) => total + (2 * (i + 1) - n - 1) * value, 0)
  const entropy = load.reduce((total, value) => value > 0 ? total - value / sum * Math.log(value / sum) : total, 0)
  return {
    maxViolation: largest - 1,
    balancedness: largest > 0 ? mean / largest : 0,
    coefficientOfVariation: mean > 0 ? Math.sqrt(variance) / mean : 0,
    gini: sum > 0 ? ranked / (n * sum) : 0,
    effectiveExperts: sum > 0 ? Math.exp(entropy) : 0,
    normalizedEntropy: n > 1 ? entropy / Math.log(n) : 1,
  }
}

function idle(count: readonly number[], load: readonly number[]): Pick<LayerStatistics, 'dead' | 'cold'> {
  const experts = count.map((_, expert) => expert)
  return {
    dead: experts.filter(expert => count[expert] === 0),
    cold: experts.filter(expert => count[expert] !== 0 && (load[expert] ?? 0) < coldLoad),
  }
}
