import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface BuiltProgram {
  readonly path: string
  remove(): void
}

/**
 * Bundles `worker.ts` beside a test (`import.meta.url`) from the sources, so that other processes run what the test runs. The
 * bundle lies beneath the test's package, where it finds the `drivers` that must not be bundled.
 */
export function buildWorker(testUrl: string, drivers: readonly string[]): Promise<BuiltProgram> {
  return buildProgram(testUrl, { entry: fileURLToPath(new URL('./worker.ts', testUrl)), external: drivers })
}

/** The same for any program. */
export async function buildProgram(
  testUrl: string,
  { entry, external }: { readonly entry: string; readonly external: readonly string[] },
): Promise<BuiltProgram> {
  // Workers import this module too, and need no bundler.
  const { build } = await import('vite')
  const folder = temporaryFolder(testUrl, 'program')
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: {
      alias: [
        {
          find: /^@baton\/(http-parity|test-processes|test-servers)$/,
          replacement: `${root}internal/$1/src/index.ts`,
        },
        { find: /^@baton\/([^/]+)$/, replacement: `${root}packages/$1/src/index.ts` },
        { find: /^@baton\/([^/]+)\/(.+)$/, replacement: `${root}packages/$1/src/$2.ts` },
      ],
    },
    ssr: { external: [...external, 'vite'] },
    build: {
      ssr: entry,
      outDir: folder,
      rolldownOptions: { output: { entryFileNames: 'program.mjs' } },
    },
  })
  return { path: join(folder, 'program.mjs'), remove: () => rmSync(folder, { recursive: true }) }
}

/** A new folder beneath a test's package: what lies there finds what the package depends on. */
export function temporaryFolder(testUrl: string, name: string): string {
  const parent = fileURLToPath(new URL('../node_modules/.baton-test', testUrl))
  mkdirSync(parent, { recursive: true })
  return mkdtempSync(join(parent, `${name}-`))
}
