// What the build weighs: the first paint, and each panel beyond it.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'

const folder = resolve(import.meta.dirname, '../../out/renderer')
const built = existsSync(join(folder, 'index.html'))
if (!built) console.warn('skipped: the weight of the window (not built: npm run build:app)')

const weight = (file: string): number => gzipSync(readFileSync(join(folder, file))).length

// A file with everything it imports at once, as paths below the build's folder.
function closure(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  const source = readFileSync(join(folder, file), 'utf8')
  for (const [, name] of source.matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)) closure(`assets/${name}`, seen)
  return seen
}

describe.skipIf(!built)('the weight of the window', () => {
  const html = built ? readFileSync(join(folder, 'index.html'), 'utf8') : ''
  // The page's own files, and the window that its script opens at once.
  const entries = [
    ...[...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(match => match[1] ?? ''),
    ...(built ? readdirSync(join(folder, 'assets')) : []).filter(name => /^(window|index)-.*\.(js|css)$/.test(name)).map(name => `assets/${name}`),
  ]
  const first = new Set(entries.flatMap(file => file.endsWith('.js') ? [...closure(file)] : [file]))

  it('paints first from at most 200 kB', () => {
    expect([...first].reduce((sum, file) => sum + weight(file), 0)).toBeLessThan(200_000)
  })

  it('adds at most 120 kB for each panel', () => {
    const panels = readdirSync(join(folder, 'assets')).filter(name => /^\w+View-.*\.js$/.test(name))
    expect(panels.length).toBe(4)
    for (const panel of panels) {
      const added = [...closure(`assets/${panel}`)].filter(file => !first.has(file))
      expect(added.reduce((sum, file) => sum + weight(file), 0), panel).toBeLessThan(120_000)
    }
  })

  it('names no other machine in its page and needs no inline script', () => {
    expect(html).not.toMatch(/https?:\/\/|<script(?![^>]*\ssrc=)[^>]*>|<style|\son\w+=/)
  })
})
