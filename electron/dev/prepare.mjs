// Everything a first start needs, in order; each part is skipped when it is up to date.
import { buildApp } from './build-app.mjs'
import { buildNative } from './build-native.mjs'
import { ensureDependencies, ensureNode } from './toolchain.mjs'

export async function prepare() {
  await ensureDependencies()
  const node = await ensureNode()
  await buildNative()
  await buildApp()
  return node
}
