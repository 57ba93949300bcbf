import { onScopeDispose, ref, type Ref } from 'vue'

export interface CopyReturn { copied: Ref<boolean>, copy: (text: string) => Promise<void> }

export function useCopy(): CopyReturn {
  const copied = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined

  async function copy(text: string): Promise<void> {
    await navigator.clipboard.writeText(text)
    copied.value = true
    clearTimeout(timer)
    timer = setTimeout(() => { copied.value = false }, 1600)
  }

  onScopeDispose(() => clearTimeout(timer))
  return { copied, copy }
}
