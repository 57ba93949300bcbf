// One TypeScript project per runtime, each with only the globals that runtime has.
import { join } from 'node:path'
import { ensureNode, main, root, run } from './toolchain.mjs'

export const projects = ['electron/contract', 'electron/preload', 'electron', 'renderer', 'test']

await main(async () => {
  const node = await ensureNode()
  for (const project of projects) await run(node, [join(root, 'node_modules/vue-tsc/bin/vue-tsc.js'), '-p', project, '--noEmit'])
})
