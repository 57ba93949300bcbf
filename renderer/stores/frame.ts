import { defineStore } from 'pinia'
import { ref } from 'vue'
import type { ShortcutId } from '../composables/useShortcuts'

// What the window itself shows beside its views, and the shortcuts views answer to.
export const useFrameStore = defineStore('frame', () => {
  const paletteOpen = ref(false)
  const listOpen = ref(true)
  // What is being written in each chat and not sent yet; a draft that has no name is ''.
  const composing = ref<Record<string, string>>({})
  const handlers = new Map<ShortcutId, () => boolean>()

  // The view on screen takes a shortcut; the returned function gives it back.
  function handle(id: ShortcutId, run: () => boolean): () => void {
    handlers.set(id, run)
    return () => { if (handlers.get(id) === run) handlers.delete(id) }
  }

  return { paletteOpen, listOpen, composing, handle, run: (id: ShortcutId): boolean => handlers.get(id)?.() ?? false }
})
