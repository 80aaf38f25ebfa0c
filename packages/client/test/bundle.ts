import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const sources = fileURLToPath(new URL('../src/', import.meta.url))

/** Bundles a file of this folder from the sources, for another process or a browser, into a new folder. */
export async function bundle(name: string, target: 'node' | 'browser') {
  const folder = mkdtempSync(join(tmpdir(), 'baton-client-'))
  const entry = fileURLToPath(new URL(name, import.meta.url))
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: {
      alias: [
        { find: /^@baton\/client$/, replacement: `${sources}index.ts` },
        { find: /^@baton\/client\/(.+)$/, replacement: `${sources}$1.ts` },
      ],
    },
    build: {
      outDir: folder,
      minify: false,
      // As in the published build.
      target: target === 'node' ? 'node20' : ['chrome91', 'firefox79', 'safari14.1'],
      ...(target === 'node' ? { ssr: entry } : { lib: { entry, formats: ['es'] } }),
      rolldownOptions: { output: { entryFileNames: 'bundle.mjs' } },
    },
  })
  return { path: join(folder, 'bundle.mjs'), remove: () => rmSync(folder, { recursive: true }) }
}
