import { createI18n, type I18n } from 'vue-i18n'
import en from './en'

export type Locale = 'en' | 'zh-CN'
export type Messages = typeof en

export function createTranslations(): I18n<{ en: Messages }, Record<string, never>, Record<string, never>, string, false> {
  return createI18n({ legacy: false, locale: 'en', fallbackLocale: 'en', messages: { en }, missingWarn: false, fallbackWarn: false }) as never
}

const loaders: Record<Exclude<Locale, 'en'>, () => Promise<{ default: Messages }>> = { 'zh-CN': () => import('./zh-CN') }

// Messages of other languages are fetched when they are first wanted.
export async function useLocale(i18n: ReturnType<typeof createTranslations>, locale: Locale): Promise<void> {
  const { global } = i18n
  if (locale !== 'en' && !global.availableLocales.includes(locale as never)) {
    global.setLocaleMessage(locale as never, (await loaders[locale]()).default as never)
  }
  global.locale.value = locale as never
  document.documentElement.lang = locale
}
