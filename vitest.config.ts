import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { exclude, packages, timeouts } from './vitest.projects.ts'

export default defineConfig({
  test: {
    // Tests spend half of their time waiting for servers, browsers and other processes.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    coverage: { provider: 'v8', include: ['packages/*/src/**'] },
    projects: [
      packages,
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
