// Rules of the window that need no Electron to be stated and tested: which file app://
// serves, whom main listens to, what may be opened outside.
import { extname, join, normalize, sep } from 'node:path'

export const appOrigin = 'app://moebius'

const mediaTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.woff2': 'font/woff2',
}

export const contentSecurityPolicy = [
  'default-src \'none\'', 'script-src \'self\'', 'style-src \'self\'', 'style-src-attr \'unsafe-inline\'',
  'img-src \'self\' data: blob:', 'font-src \'self\'', 'connect-src \'self\'', 'worker-src \'self\'',
  'base-uri \'none\'', 'form-action \'none\'', 'frame-ancestors \'none\'', 'object-src \'none\'',
].join('; ')

// The file below `root` that an app:// address names, with its media type; undefined when
// the address is of another origin, leaves the folder or has a type the renderer never ships.
export function rendererFile(root: string, address: string): { path: string, mediaType: string } | undefined {
  const url = URL.parse(address)
  if (!url || url.protocol !== 'app:' || url.host !== 'moebius') return undefined
  let name: string
  try {
    name = decodeURIComponent(url.pathname)
  } catch {
    return undefined
  }
  if (name.includes('\0')) return undefined
  const path = normalize(join(root, name === '/' ? 'index.html' : name))
  const mediaType = mediaTypes[extname(path)]
  return path.startsWith(root + sep) && mediaType ? { path, mediaType } : undefined
}

// Only the top frame of our own page may ask main for anything.
export function isTrustedSender(frame: { url: string, isTopFrame: boolean } | undefined): boolean {
  return frame !== undefined && frame.isTopFrame && URL.parse(frame.url)?.protocol === 'app:' && URL.parse(frame.url)?.host === 'moebius'
}

// The address to open in the system's browser, or undefined when it is not plain https.
export function externalAddress(address: string): { href: string, host: string } | undefined {
  const url = URL.parse(address)
  if (!url || url.protocol !== 'https:' || url.username || url.password) return undefined
  return { href: url.href, host: url.host }
}

// Model files named on a command line or by the operating system.
export function modelPaths(values: readonly string[]): string[] {
  return values.filter(value => /\.gguf$/i.test(value))
}
