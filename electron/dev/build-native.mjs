// Builds native/build/Release/native.node with cmake-js.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { buildOnce, checkCompiler, main, root, run, say } from './toolchain.mjs'

export function buildNative() {
  return buildOnce('native', ['native', 'package-lock.json'], 'native/build/Release/native.node', async () => {
    checkCompiler()
    // Microsoft's own compiler does not take the kernels.
    const toolset = process.platform === 'win32' ? ['--toolset', 'ClangCL'] : []
    say('Building the native engine (first time: a few minutes) …')
    await run(process.execPath, [join(root, 'node_modules/cmake-js/bin/cmake-js'), 'compile', '-d', 'native', '-O', 'native/build', '--parallel', '2', ...toolset],
      { advice: 'The compiler\'s message is above.', env: { npm_config_nodedir: undefined, CMAKE_BUILD_PARALLEL_LEVEL: '2' } })
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(buildNative)
