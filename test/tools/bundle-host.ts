// Bundles the fake host process as the program's own build would, into an ignored folder of the
// checkout so that its packages resolve.
import { mkdtempSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'vite'

export async function bundleFakeHost(): Promise<string> {
  mkdirSync(resolve('test/.tmp'), { recursive: true })
  const outDir = mkdtempSync(resolve('test/.tmp/host-'))
  await build({
    configFile: false, logLevel: 'error',
    build: { ssr: true, outDir, target: 'node24', rolldownOptions: { input: { 'fake-host-child': resolve('test/tools/fake-host-child.ts') }, output: { format: 'es', entryFileNames: '[name].js' } } },
  })
  return join(outDir, 'fake-host-child.js')
}
