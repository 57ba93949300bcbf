import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { externalAddress, isTrustedSender, modelPaths, rendererFile } from '../../electron/main/window-rules'

const root = join('/', 'opt', 'moebius', 'renderer')

describe('rendererFile', () => {
  it('serves the page and its assets', () => {
    expect(rendererFile(root, 'app://moebius/')).toEqual({ path: join(root, 'index.html'), mediaType: 'text/html; charset=utf-8' })
    expect(rendererFile(root, 'app://moebius/assets/a.js')?.path).toBe(join(root, 'assets', 'a.js'))
  })

  it.each([
    'app://moebius/../secret.js', 'app://moebius/%2e%2e/secret.js', 'app://moebius/..%2f..%2fsecret.js', 'app://other/index.html',
    'file:///etc/passwd.js', 'app://moebius/a.exe', 'app://moebius/%00.js', 'app://moebius/%E0%A4%A.js', 'nonsense',
  ])('never leaves its folder: %s', address => {
    const file = rendererFile(root, address)
    expect(file === undefined || file.path.startsWith(root + '/')).toBe(true)
    if (/other|etc|exe|%00|%A\.|nonsense/.test(address)) expect(file).toBeUndefined()
  })
})

describe('isTrustedSender', () => {
  it('accepts the top frame of our page alone', () => {
    expect(isTrustedSender({ url: 'app://moebius/index.html', isTopFrame: true })).toBe(true)
    expect(isTrustedSender({ url: 'app://moebius/index.html', isTopFrame: false })).toBe(false)
    expect(isTrustedSender({ url: 'https://moebius/', isTopFrame: true })).toBe(false)
    expect(isTrustedSender({ url: 'app://evil/', isTopFrame: true })).toBe(false)
    expect(isTrustedSender(undefined)).toBe(false)
  })
})

describe('externalAddress', () => {
  it('lets plain https through and nothing else', () => {
    expect(externalAddress('https://example.org/a?b=c')?.host).toBe('example.org')
    for (const address of ['http://example.org', 'file:///etc/passwd', 'javascript:alert(1)', 'smb://host/share', 'https://user:secret@example.org', 'x']) {
      expect(externalAddress(address)).toBeUndefined()
    }
  })
})

describe('modelPaths', () => {
  it('keeps GGUF files only', () => {
    expect(modelPaths(['--flag', '/a/b.gguf', '/a/B.GGUF', '/a/b.txt'])).toEqual(['/a/b.gguf', '/a/B.GGUF'])
  })
})
