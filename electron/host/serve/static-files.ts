// Files of the built renderer, with the page's security headers.
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join, normalize, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'

const mediaTypes = new Map([
  ['.html', 'text/html; charset=utf-8'], ['.js', 'text/javascript; charset=utf-8'], ['.css', 'text/css; charset=utf-8'], ['.svg', 'image/svg+xml'],
  ['.png', 'image/png'], ['.ico', 'image/x-icon'], ['.json', 'application/json'], ['.woff2', 'font/woff2'], ['.webmanifest', 'application/manifest+json'],
])

// style-src-attr is for positioned and coloured elements of the page itself.
function contentSecurityPolicy(host: string): string {
  return [
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "style-src-attr 'unsafe-inline'", "img-src 'self' data: blob:", "font-src 'self'",
    `connect-src 'self' ws://${host}`, "worker-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "object-src 'none'",
  ].join('; ')
}

// False when the path names no file of the renderer. The Host header was checked before.
export async function serveStatic(root: string, path: string, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const file = fileOf(root, path)
  const stats = file && await stat(file.path).catch(() => undefined)
  if (!file || !stats?.isFile()) return false
  response.writeHead(200, {
    'content-type': file.mediaType, 'content-length': stats.size,
    'content-security-policy': contentSecurityPolicy(request.headers.host ?? ''),
    'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin', 'permissions-policy': 'camera=(), microphone=(), geolocation=()',
    // Names of assets carry a hash of their content.
    'cache-control': path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-store',
  })
  if (request.method === 'HEAD') response.end()
  else await pipeline(createReadStream(file.path), response).catch(() => response.destroy())
  return true
}

function fileOf(root: string, path: string): { path: string, mediaType: string } | undefined {
  let name: string
  try {
    name = decodeURIComponent(path)
  } catch {
    return undefined
  }
  if (name.includes('\0') || name.includes('\\')) return undefined
  const file = normalize(join(root, name === '/' ? 'index.html' : name))
  const mediaType = mediaTypes.get(extname(file).toLowerCase())
  return file.startsWith(normalize(root) + sep) && mediaType !== undefined ? { path: file, mediaType } : undefined
}
