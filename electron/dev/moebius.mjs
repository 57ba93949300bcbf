#!/usr/bin/env node
// The command line: prepares a checkout when needed, then runs out/main/cli.js on Node 24.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { prepare } from './prepare.mjs'
import { main, root } from './toolchain.mjs'

await main(async () => {
  const node = await prepare()
  const child = spawn(node, [join(root, 'out/main/cli.js'), ...process.argv.slice(2)], { stdio: 'inherit' })
  // The child gets the terminal's own Ctrl-C; a signal sent to this process is passed on.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.exitCode = await new Promise(resolve => child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1))))
})
