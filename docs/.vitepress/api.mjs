import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Application, Converter } from 'typedoc'

const docs = dirname(dirname(fileURLToPath(import.meta.url)))
const root = dirname(docs)

const folder = join(docs, 'api')
const entryPoints = readdirSync(join(root, 'packages'))
  .filter((name) => existsSync(join(root, 'packages', name, 'src/index.ts')))
  .filter((name) => !JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')).private)
  .map((name) => join(root, 'packages', name, 'src/index.ts'))

const app = await Application.bootstrapWithPlugins({
  plugin: ['typedoc-plugin-markdown'],
  entryPoints,
  outputs: [{ name: 'markdown', path: folder }],
  basePath: root,
  tsconfig: join(root, 'tsconfig.json'),
  // Types are checked by another step of `pnpm check`.
  skipErrorChecking: true,
  excludeInternal: true,
  excludeExternals: true,
  disableSources: true,
  readme: 'none',
  logLevel: 'Error',
  // typedoc-plugin-markdown
  outputFileStrategy: 'modules',
  hideBreadcrumbs: true,
  hidePageHeader: true,
  useHTMLAnchors: true,
  useCodeBlocks: true,
  expandObjects: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  pageTitleTemplates: { module: ({ name }) => `@baton/${name}` },
})
// The default names of modules are their paths.
app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
  for (const module of project.children ?? [])
    module.name = module.name.replace(/^(?:packages\/)?([^/]+)\/src.*$/, '$1')
})

const project = await app.convert()
if (project === undefined) throw new Error('typedoc found nothing to document')
rmSync(folder, { recursive: true, force: true })
await app.generateOutputs(project)
