import { fileURLToPath } from 'node:url'
import { configDefaults, type TestProjectInlineConfiguration } from 'vitest/config'
import { pageAsTextInVite } from './packages/console/page-as-text.ts'

/** Long enough for real servers on a busy machine. No test measures speed. */
export const timeouts = { testTimeout: 120_000, hookTimeout: 120_000, expect: { poll: { timeout: 60_000 } } }

const isComplete = process.env['BATON_TESTS'] !== undefined

/** `npm test` leaves these to `pnpm proofs`, like the cases that `sampled` of `@baton/test-servers` omits. */
export const exclude = [...configDefaults.exclude, ...(isComplete ? [] : ['**/*.long.test.ts'])]

const root = fileURLToPath(new URL('./', import.meta.url))

export const packages = {
  plugins: [pageAsTextInVite],
  // Packages are aliased to their sources, so unit tests need no build.
  resolve: {
    alias: [
      { find: /^@baton\/(http-parity|test-processes|test-servers)$/, replacement: `${root}internal/$1/src/index.ts` },
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
} satisfies TestProjectInlineConfiguration
