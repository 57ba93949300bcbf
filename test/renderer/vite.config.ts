// The renderer alone, without Electron: `vite build -c test/renderer/vite.config.ts`. With
// `--mode fake` the window talks to the in-memory workbench of the tests.
import { fileURLToPath } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

export default defineConfig(({ mode }) => ({
  root: path('../../renderer'),
  base: './',
  plugins: [vue()],
  worker: { format: 'es' },
  resolve: mode === 'fake' ? { alias: [{ find: /^.*\/api\/connect$/, replacement: path('./fake-connect.ts') }] } : {},
  build: { outDir: path('../../out/renderer'), emptyOutDir: true, target: 'chrome150' },
}))
