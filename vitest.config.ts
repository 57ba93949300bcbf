import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

// e2e drives a browser and a built host; everything else runs in plain Node.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'node', environment: 'node', testTimeout: 30_000, hookTimeout: 60_000,
          include: ['test/{addon,architecture,bench,cli,contract,dev,host,main,rest,services,wire}/**/*.test.ts'],
        },
      },
      {
        plugins: [vue()],
        test: { name: 'renderer', environment: 'happy-dom', include: ['test/renderer/**/*.test.ts'] },
      },
      {
        test: {
          name: 'e2e', environment: 'node', testTimeout: 180_000, hookTimeout: 180_000, fileParallelism: false,
          include: ['test/e2e/**/*.test.ts'],
        },
      },
    ],
  },
})
