// Builds out/: main and host entry points, preload, renderer.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { buildOnce, ensureNode, main, root, run, say } from './toolchain.mjs'

export function buildApp() {
  return buildOnce('app', ['electron', 'renderer', 'package.json', 'package-lock.json', 'tsconfig.base.json'], 'out/renderer/index.html', async () => {
    say('Building the workbench …')
    await run(await ensureNode(), [join(root, 'node_modules/electron-vite/bin/electron-vite.js'), 'build', '--config', 'electron/electron.vite.config.ts', '--logLevel', 'warn'],
      { advice: 'The bundler\'s message is above.' })
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(buildApp)
