import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { pageAsTextInVite } from './packages/console/page-as-text.ts'

/** Ends what hangs. Real servers and noisy machines have their own idea of time, and no test is about speed. */
const patience = { testTimeout: 120_000, hookTimeout: 120_000 }

const root = fileURLToPath(new URL('./', import.meta.url))

export default defineConfig({
  test: {
    // Half of what tests do is wait for servers, browsers and other processes.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    coverage: { provider: 'v8', include: ['packages/*/src/**'] },
    projects: [
      {
        plugins: [pageAsTextInVite],
        // Sources stand in for the builds, so that unit tests need none.
        resolve: {
          alias: [
            {
              find: /^@baton\/(http-parity|test-processes|test-servers)$/,
              replacement: `${root}internal/$1/src/index.ts`,
            },
            { find: /^@baton\/([^/]+)$/, replacement: `${root}packages/$1/src/index.ts` },
            { find: /^@baton\/(client|core)\/(.+)$/, replacement: `${root}packages/$1/src/$2.ts` },
          ],
        },
        test: {
          name: 'packages',
          include: ['packages/*/test/**/*.test.ts', 'internal/{http-parity,simulation,test-*}/test/**/*.test.ts'],
          ...patience,
        },
      },
      {
        // Examples are whole processes and run what users install: the builds.
        test: {
          name: 'examples',
          include: ['examples/*/test/**/*.test.ts', 'internal/benchmarks/test/**/*.test.ts'],
          ...patience,
        },
      },
    ],
  },
})
