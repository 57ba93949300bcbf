// Colours code off the main thread. Colours are CSS variables, so a theme change costs
// nothing here.
import { createCssVariablesTheme, createHighlighterCore, type HighlighterCore } from 'shiki/core'
import { createJavaScriptRegexEngine } from 'shiki/engine/javascript'
import { languageLoaders, resolveLanguage } from './languages'

export interface HighlightRequest { id: number, code: string, language: string }
export interface HighlightSpan { text: string, colour: string }
export interface HighlightReply { id: number, lines: HighlightSpan[][] }

const theme = createCssVariablesTheme({ name: 'moebius', variablePrefix: '--shiki-', fontStyle: false })
let highlighter: Promise<HighlighterCore> | undefined

async function highlight({ id, code, language }: HighlightRequest): Promise<HighlightReply> {
  const name = resolveLanguage(language)
  if (!name) return { id, lines: [] }
  highlighter ??= createHighlighterCore({ themes: [theme], langs: [], engine: createJavaScriptRegexEngine({ forgiving: true }) })
  const ready = await highlighter
  if (!ready.getLoadedLanguages().includes(name)) await ready.loadLanguage(languageLoaders[name]())
  const { tokens } = ready.codeToTokens(code, { lang: name, theme: 'moebius' })
  return { id, lines: tokens.map(line => line.map(token => ({ text: token.content, colour: token.color ?? '' }))) }
}

addEventListener('message', (event: MessageEvent<HighlightRequest>) => {
  highlight(event.data).then(reply => postMessage(reply), () => postMessage({ id: event.data.id, lines: [] }))
})
