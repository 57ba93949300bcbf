import { ref, type Ref } from 'vue'

export interface SentencesReturn { announced: Ref<string>, feed: (text: string) => void, finish: (text: string) => void, reset: () => void }

const sentenceEnd = /[.!?。！？…]["'”’」』)]?(?=\s|$)|[。！？]|\n/g

// Where the last complete sentence of `text` after `from` ends, or `from`.
export function endOfSentences(text: string, from: number): number {
  let end = from
  sentenceEnd.lastIndex = from
  for (let match = sentenceEnd.exec(text); match; match = sentenceEnd.exec(text)) {
    if (match.index + match[0].length >= text.length && !/[。！？\n]$/.test(match[0])) break
    end = match.index + match[0].length
  }
  return end
}

// Turns a growing text into announcements of whole sentences for a live region.
export function useSentences(): SentencesReturn {
  const announced = ref('')
  let spoken = 0

  function say(text: string, end: number): void {
    const piece = text.slice(spoken, end).trim()
    spoken = end
    if (piece) announced.value = piece
  }

  return {
    announced,
    feed: text => { const end = endOfSentences(text, spoken); if (end > spoken) say(text, end) },
    finish: text => say(text, text.length),
    reset: () => { spoken = 0; announced.value = '' },
  }
}
