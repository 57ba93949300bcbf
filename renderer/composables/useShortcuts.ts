import { onScopeDispose } from 'vue'

export type ShortcutId =
  'palette' | 'newChat' | 'search' | 'panelChat' | 'panelModels' | 'panelServer' | 'settings' | 'stop' | 'regenerate' | 'toggleReasoning' | 'toggleStrip' | 'toggleList'

export interface Shortcut {
  id: ShortcutId
  desktop: string
  browser: string     // browsers keep some combinations for themselves
}

// The one table of shortcuts; Settings lists it and the frame listens to it.
export const shortcuts: readonly Shortcut[] = [
  { id: 'palette', desktop: 'Mod+K', browser: 'Mod+K' },
  { id: 'newChat', desktop: 'Mod+N', browser: 'Alt+N' },
  { id: 'search', desktop: 'Mod+F', browser: 'Alt+F' },
  { id: 'panelChat', desktop: 'Mod+1', browser: 'Alt+1' },
  { id: 'panelModels', desktop: 'Mod+2', browser: 'Alt+2' },
  { id: 'panelServer', desktop: 'Mod+3', browser: 'Alt+3' },
  { id: 'settings', desktop: 'Mod+,', browser: 'Alt+,' },
  { id: 'stop', desktop: 'Escape', browser: 'Escape' },
  { id: 'regenerate', desktop: 'Mod+R', browser: 'Alt+R' },
  { id: 'toggleReasoning', desktop: 'Mod+E', browser: 'Alt+E' },
  { id: 'toggleStrip', desktop: 'Mod+J', browser: 'Alt+J' },
  { id: 'toggleList', desktop: 'Mod+B', browser: 'Alt+B' },
]

export function keysOf(id: ShortcutId, desktop: boolean): string {
  const shortcut = shortcuts.find(candidate => candidate.id === id)
  return shortcut ? (desktop ? shortcut.desktop : shortcut.browser) : ''
}

export function matchesKeys(event: KeyboardEvent, keys: string, mac: boolean): boolean {
  const parts = keys.split('+')
  const key = parts.at(-1) ?? ''
  const mod = parts.includes('Mod')
  const modDown = mac ? event.metaKey : event.ctrlKey
  const otherDown = mac ? event.ctrlKey : event.metaKey
  if (mod !== modDown || otherDown || event.altKey !== parts.includes('Alt') || event.shiftKey !== parts.includes('Shift')) return false
  // With Alt some layouts type other characters: the physical key decides there.
  return event.key.toLowerCase() === key.toLowerCase() || event.code === `Key${key}` || event.code === `Digit${key}`
}

export function useShortcuts(desktop: () => boolean, run: (id: ShortcutId, event: KeyboardEvent) => boolean): void {
  const mac = /Mac|iPhone|iPad/.test(navigator.platform)
  const listener = (event: KeyboardEvent): void => {
    if (event.isComposing || event.defaultPrevented) return
    for (const shortcut of shortcuts) {
      if (!matchesKeys(event, desktop() ? shortcut.desktop : shortcut.browser, mac)) continue
      if (run(shortcut.id, event)) event.preventDefault()
      return
    }
  }
  addEventListener('keydown', listener)
  onScopeDispose(() => removeEventListener('keydown', listener))
}
