import { shallowRef, type ShallowRef } from 'vue'
import type { Contract, StateKey, StateValue } from '../../electron/contract'
import { workbench } from '../api/workbench'

// A state of the contract as a ref. Stores live as long as the window: no clean-up.
export function useHostState<K extends StateKey<Contract>>(key: K): Readonly<ShallowRef<StateValue<Contract, K> | undefined>> {
  const value = shallowRef<StateValue<Contract, K>>()
  workbench().watch(key, next => { value.value = next })
  return value
}
