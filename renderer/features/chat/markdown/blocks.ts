// Splits an answer that is still growing into top-level blocks. All but the last are
// finished: they keep their object and are never parsed or rendered again.
import { markdown } from './render'

export type Block =
  | { kind: 'text', key: number, source: string }
  | { kind: 'code', key: number, source: string, language: string }

export interface BlockSplitter { update: (text: string) => Block[] }

export function createBlockSplitter(): BlockSplitter {
  let finished: Block[] = []
  let seen = ''          // the text the finished blocks cover
  let tail: Block[] = []

  return {
    update(text) {
      if (!text.startsWith(seen)) { finished = []; seen = ''; tail = [] }
      const blocks = splitBlocks(text.slice(seen.length), finished.length)
      for (const { block } of blocks.slice(0, -1)) finished.push(block)
      const last = blocks.at(-1)
      seen = text.slice(0, seen.length + (last?.start ?? 0))
      tail = last ? [keepSame(tail[0], last.block)] : []
      return [...finished, ...tail]
    },
  }
}

function keepSame(before: Block | undefined, now: Block): Block {
  const same = before && before.key === now.key && before.kind === now.kind && before.source === now.source
  return same ? before : now
}

function splitBlocks(text: string, firstKey: number): { block: Block, start: number }[] {
  const lineStarts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lineStarts.push(at + 1)
  const offset = (line: number): number => lineStarts[line] ?? text.length

  const blocks: { block: Block, start: number }[] = []
  for (const token of markdown.parse(text, {})) {
    if (token.level !== 0 || !token.map || token.nesting < 0) continue
    const [from, to] = token.map
    const key = firstKey + blocks.length
    const start = offset(from)
    // A fence that is not closed yet counts as code already.
    if (token.type === 'fence') blocks.push({ start, block: { kind: 'code', key, source: token.content.replace(/\n$/, ''), language: token.info.trim().split(/\s+/)[0] ?? '' } })
    else blocks.push({ start, block: { kind: 'text', key, source: text.slice(start, offset(to)) } })
  }
  return blocks
}
