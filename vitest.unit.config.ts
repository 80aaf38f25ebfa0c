import { defineConfig } from 'vitest/config'
import { exclude, packages } from './vitest.projects.ts'

/** These tests start database servers, browsers or other processes. */
const SLOW = [
  'packages/{cli,store-postgres,store-redis}/**',
  'packages/client/test/{chromium,dpop-key,file,platforms}.test.ts',
  'packages/console/test/page.test.ts',
  'packages/http/test/**/*.chromium.test.ts',
  'packages/http/test/rate-limits/policy.test.ts',
  'packages/import/test/{redis,sql}.test.ts',
  'packages/store-sqlite/test/{kit,processes}.test.ts',
  'packages/store-testkit/test/node-test.test.ts',
]

/** The config of `pnpm unit`. The test files of a worker share the modules that they import, which saves half of the time. */
export default defineConfig({
  ...packages,
  test: { ...packages.test, include: ['packages/*/test/**/*.test.ts'], exclude: [...exclude, ...SLOW], isolate: false },
})
