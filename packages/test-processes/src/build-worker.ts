import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const packages = fileURLToPath(new URL('../../', import.meta.url))

export interface BuiltWorker {
  readonly path: string
  remove(): void
}

/**
 * Bundles `worker.ts` beside a test (`import.meta.url`) from the sources, so that other processes run what the test runs. The
 * bundle lies beneath the test's package, where it finds the `drivers` that must not be bundled.
 */
export async function buildWorker(testUrl: string, drivers: readonly string[]): Promise<BuiltWorker> {
  // Workers import this module too, and need no bundler.
  const { build } = await import('vite')
  const parent = fileURLToPath(new URL('../node_modules/.baton-test', testUrl))
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'worker-'))
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: [{ find: /^@baton\/([^/]+)$/, replacement: `${packages}$1/src/index.ts` }] },
    ssr: { external: [...drivers, 'vite'] },
    build: {
      ssr: fileURLToPath(new URL('./worker.ts', testUrl)),
      outDir: folder,
      rolldownOptions: { output: { entryFileNames: 'worker.mjs' } },
    },
  })
  return { path: join(folder, 'worker.mjs'), remove: () => rmSync(folder, { recursive: true }) }
}
