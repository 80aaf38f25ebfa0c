import { defineConfig } from 'vitest/config'

/**
 * The tests that specify core rule by rule. Long random runs are excluded, because they would be repeated for every
 * mutant.
 */
export default defineConfig({
  test: {
    root: '.',
    include: ['packages/core/test/**/*.test.ts'],
    exclude: ['packages/core/test/properties.test.ts'],
    testTimeout: 60_000,
  },
})
