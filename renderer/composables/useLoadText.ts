import { useI18n } from 'vue-i18n'
import type { LoadedModel } from '../../electron/contract'
import { useFormat } from './useFormat'

export interface LoadTextReturn {
  // "0.9 GB of 2.6 GB, 850 MB/s"; '' while no weights are read in.
  touchingText: (model: LoadedModel | undefined) => string
}

export function useLoadText(): LoadTextReturn {
  const { t } = useI18n()
  const format = useFormat()

  function touchingText(model: LoadedModel | undefined): string {
    if (!model?.touching) return ''
    const { bytesDone, bytesTotal, bytesPerSecond } = model.touching
    const amounts = { done: format.fileSize(bytesDone), total: format.fileSize(bytesTotal) }
    return bytesPerSecond > 0 ? t('units.readAtSpeed', { ...amounts, speed: format.fileSize(bytesPerSecond) }) : t('units.read', amounts)
  }

  return { touchingText }
}
