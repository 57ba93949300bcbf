import { useI18n } from 'vue-i18n'
import type { WorkbenchErrorShape } from '../../electron/contract'

export interface ErrorTextReturn { describe: (error: WorkbenchErrorShape) => { title: string, next: string } }

// A title for the kind of failure, and the next step: the one the host knows for this
// case, else the general one for the code.
export function useErrorText(): ErrorTextReturn {
  const { t, locale } = useI18n()

  function describe(error: WorkbenchErrorShape): { title: string, next: string } {
    const general = t(`errors.${error.code}.next`)
    return { title: t(`errors.${error.code}.title`), next: locale.value === 'en' && error.hint ? error.hint : general }
  }

  return { describe }
}
