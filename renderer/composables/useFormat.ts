import { useI18n } from 'vue-i18n'

export interface FormatReturn {
  integer: (value: number) => string
  decimal: (value: number, digits?: number) => string
  compact: (value: number) => string
  percent: (share: number, digits?: number) => string
  memory: (bytes: number) => string
  fileSize: (bytes: number) => string
  seconds: (milliseconds: number) => string
  rate: (perSecond: number) => string
  time: (at: number) => string
  dateTime: (at: number) => string
}

// All numbers of the window: the user's language, GiB for memory and GB for disk.
export function useFormat(): FormatReturn {
  const { locale, t } = useI18n()
  const format = (value: number, options?: Intl.NumberFormatOptions): string => new Intl.NumberFormat(locale.value, options).format(value)

  function scaled(bytes: number, base: number, units: readonly string[]): string {
    let value = Math.max(0, bytes)
    let unit = 0
    while (value >= base && unit < units.length - 1) { value /= base; unit++ }
    return `${format(value, { maximumFractionDigits: value < 10 && unit > 0 ? 2 : value < 100 && unit > 0 ? 1 : 0 })} ${units[unit] ?? ''}`
  }

  function seconds(milliseconds: number): string {
    if (milliseconds < 1000) return t('units.milliseconds', { value: format(milliseconds, { maximumFractionDigits: 0 }) })
    if (milliseconds < 60_000) return t('units.seconds', { value: format(milliseconds / 1000, { maximumFractionDigits: 1 }) })
    return t('units.minutes', { minutes: format(Math.floor(milliseconds / 60_000)), seconds: format(Math.round(milliseconds % 60_000 / 1000)) })
  }

  return {
    integer: value => format(value, { maximumFractionDigits: 0 }),
    decimal: (value, digits = 2) => format(value, { maximumFractionDigits: digits }),
    compact: value => format(value, { notation: 'compact', maximumSignificantDigits: 3 }),
    percent: (share, digits = 0) => format(share, { style: 'percent', maximumFractionDigits: digits }),
    memory: bytes => scaled(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']),
    fileSize: bytes => scaled(bytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB']),
    seconds,
    rate: perSecond => t('units.tokensPerSecond', { value: format(perSecond, { maximumFractionDigits: perSecond < 100 ? 1 : 0 }) }),
    time: at => new Intl.DateTimeFormat(locale.value, { hour: '2-digit', minute: '2-digit' }).format(at),
    dateTime: at => new Intl.DateTimeFormat(locale.value, { dateStyle: 'medium', timeStyle: 'short' }).format(at),
  }
}
