import { watchEffect, type Ref } from 'vue'
import { useMediaQuery } from './useMediaQuery'

export type ThemeChoice = 'system' | 'light' | 'dark' | 'contrast'
export type MotionChoice = 'system' | 'on' | 'off'

// Puts theme and motion on the root element, where the tokens look for them.
export function useTheme(theme: Ref<ThemeChoice>, reduceMotion: Ref<MotionChoice>): void {
  const dark = useMediaQuery('(prefers-color-scheme: dark)')
  const contrast = useMediaQuery('(prefers-contrast: more)')
  const calm = useMediaQuery('(prefers-reduced-motion: reduce)')
  watchEffect(() => {
    const system = contrast.value ? 'contrast' : dark.value ? 'dark' : 'light'
    document.documentElement.dataset.theme = theme.value === 'system' ? system : theme.value
  })
  watchEffect(() => {
    const reduced = reduceMotion.value === 'on' || (reduceMotion.value === 'system' && calm.value)
    document.documentElement.dataset.motion = reduced ? 'off' : 'on'
  })
}
