// The main thread's end of the highlighter: one worker, started with the first block.
import { resolveLanguage } from './languages'
import type { HighlightReply, HighlightSpan } from './highlight.worker'

const longest = 60_000
let worker: Worker | undefined
let nextId = 1
const waiting = new Map<number, (lines: HighlightSpan[][]) => void>()

// Lines of coloured spans; empty when the language is unknown or the code too long.
export function highlight(code: string, language: string): Promise<HighlightSpan[][]> {
  if (!resolveLanguage(language) || code.length > longest) return Promise.resolve([])
  worker ??= startWorker()
  const id = nextId++
  worker.postMessage({ id, code, language })
  return new Promise(resolve => { waiting.set(id, resolve) })
}

function startWorker(): Worker {
  const started = new Worker(new URL('./highlight.worker.ts', import.meta.url), { type: 'module' })
  started.addEventListener('message', (event: MessageEvent<HighlightReply>) => {
    waiting.get(event.data.id)?.(event.data.lines)
    waiting.delete(event.data.id)
  })
  started.addEventListener('error', () => {
    for (const resolve of waiting.values()) resolve([])
    waiting.clear()
  })
  return started
}
