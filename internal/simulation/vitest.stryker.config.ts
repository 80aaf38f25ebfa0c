import { defineConfig } from 'vitest/config'

/** The tests that say what core does, one rule at a time. Long random runs stay out: they would be repeated for every mutant. */
export default defineConfig({
  test: {
    root: '.',
    include: ['packages/core/test/**/*.test.ts'],
    exclude: ['packages/core/test/properties.test.ts'],
    testTimeout: 60_000,
  },
})
