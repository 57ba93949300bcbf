import { onScopeDispose, ref, type Ref } from 'vue'

export interface CopyReturn { copied: Ref<boolean>, copy: (text: string) => Promise<void> }

// The clipboard is for secure origins only; a window that reaches its host by plain http over
// the network copies through a selection.
export async function copyText(text: string): Promise<void> {
  if (isSecureContext) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.setAttribute('readonly', '')
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}

export function useCopy(): CopyReturn {
  const copied = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined

  async function copy(text: string): Promise<void> {
    await copyText(text)
    copied.value = true
    clearTimeout(timer)
    timer = setTimeout(() => { copied.value = false }, 1600)
  }

  onScopeDispose(() => clearTimeout(timer))
  return { copied, copy }
}
