import { build, type Plugin } from 'esbuild'

const PAGE = /[\\/]console[\\/]page[\\/]main\.mjs$/

/** The scripts of the page as one, ready to stand in its HTML. */
async function bundle(file: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    format: 'iife',
    target: 'es2022',
    charset: 'utf8',
    write: false,
  })
  return outputFiles.map(({ text }) => text).join('')
}

/** Lets esbuild, and so tsup, take an import of the page for its text. */
export const pageAsText: Plugin = {
  name: 'console-page-as-text',
  setup(builder) {
    builder.onLoad({ filter: PAGE }, async ({ path }) => ({ contents: await bundle(path), loader: 'text' }))
  },
}

/** The same for Vite, and so for tests that run from the sources. */
export const pageAsTextInVite = {
  name: pageAsText.name,
  async load(id: string) {
    return PAGE.test(id) ? `export default ${JSON.stringify(await bundle(id))}` : null
  },
}
