import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'
import { pageAsTextInVite } from './packages/console/page-as-text.ts'

/** Long enough for real servers on a busy machine. No test measures speed. */
const timeouts = { testTimeout: 120_000, hookTimeout: 120_000, expect: { poll: { timeout: 60_000 } } }

/** `npm test` leaves these to `pnpm proofs`, like the cases that `sampled` of `@baton/test-servers` omits. */
const exclude = [...configDefaults.exclude, ...(process.env['BATON_TESTS'] === undefined ? ['**/*.long.test.ts'] : [])]

const root = fileURLToPath(new URL('./', import.meta.url))

export default defineConfig({
  test: {
    // Tests spend half of their time waiting for servers, browsers and other processes.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    coverage: { provider: 'v8', include: ['packages/*/src/**'] },
    projects: [
      {
        plugins: [pageAsTextInVite],
        // Packages are aliased to their sources, so unit tests need no build.
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
          include: [
            'packages/*/test/**/*.test.ts',
            'internal/{http-parity,simulation,test-*}/test/**/*.test.ts',
            'scripts/test/*.test.mjs',
          ],
          exclude,
          ...timeouts,
        },
      },
      {
        // Examples run as separate processes with the built packages, as users install them.
        test: {
          name: 'examples',
          include: ['examples/*/test/**/*.test.ts', 'internal/benchmarks/test/**/*.test.ts'],
          exclude,
          ...timeouts,
        },
      },
    ],
  },
})
