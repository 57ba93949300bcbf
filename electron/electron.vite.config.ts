import { resolve } from 'node:path'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'electron-vite'

const path = (relative: string): string => resolve(process.cwd(), relative)

export default defineConfig({
  main: {
    build: {
      outDir: 'out/main',
      rolldownOptions: {
        input: {
          index: path('electron/main/index.ts'),
          utility: path('electron/host/utility.ts'),
          'host-child': path('electron/host/host-child.ts'),
          serve: path('electron/host/serve.ts'),
          cli: path('electron/host/cli.ts'),
        },
      },
    },
  },
  preload: {
    build: {
      outDir: 'out/preload',
      externalizeDeps: false,
      // A sandboxed preload must be one CommonJS file.
      rolldownOptions: {
        input: { index: path('electron/preload/index.ts') },
        output: { format: 'cjs', entryFileNames: '[name].cjs' },
      },
    },
  },
  renderer: {
    root: path('renderer'),
    base: './',
    // The highlighter fetches grammars by name: its worker is split into modules too.
    worker: { format: 'es' },
    build: {
      outDir: path('out/renderer'),
      emptyOutDir: true,
      target: 'chrome150',
      minify: true,
      rolldownOptions: { input: path('renderer/index.html') },
    },
    plugins: [vue()],
  },
})
