import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { MarkdownRenderer } from 'vitepress'

export const ADDRESS = 'https://github.com/baton-auth/baton'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** The paths of Markdown files of the repository on the site. */
export const PAGES = {
  'docs/:page(.*).md': ':page.md',
  'packages/:name/README.md': 'packages/:name.md',
  'examples/README.md': 'examples.md',
  'SECURITY.md': 'security.md',
  'CONTRIBUTING.md': 'contributing.md',
  'CODE_OF_CONDUCT.md': 'conduct.md',
}

/** Files and folders that are not on the site: their Markdown is for contributors. */
export const NO_PAGES = [
  'README.md',
  'docs/api/README.md',
  '**/CHANGELOG.md',
  'examples/*/**',
  ...foldersOf('.', (name) => !['docs', 'packages', 'examples', 'decisions'].includes(name)),
  ...foldersOf('packages', (name) => !isPublished(name)),
].map((name) => name.replace(/^\.\//, ''))

const PLACES: readonly (readonly [RegExp, string])[] = [
  [/^docs\/index\.md$/, '/'],
  [/^docs\/(.+)\.md$/, '/$1'],
  [new RegExp(`^packages/(${publishedPackages().join('|')})(?:/README\\.md)?$`), '/packages/$1'],
  [/^(decisions\/.+)\.md$/, '/$1'],
  [/^decisions$/, `${ADDRESS}/tree/main/decisions`],
  [/^examples(?:\/README\.md)?$/, '/examples'],
  [/^SECURITY\.md$/, '/security'],
  [/^CONTRIBUTING\.md$/, '/contributing'],
  [/^CODE_OF_CONDUCT\.md$/, '/conduct'],
  [/^README\.md$/, '/'],
]

/** Converts links between files of the repository to links of the site. */
export function linkRepository(md: MarkdownRenderer): void {
  md.core.ruler.push('repository-links', ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.attrGet('href')
      if (token.type === 'link_open' && href !== null) token.attrSet('href', onSite(href, sourceOf(env)))
    }
  })
}

/** Throws if the target file does not exist. */
function onSite(href: string, source: string): string {
  if (/^([a-z]+:|\/|#)/i.test(href)) return href
  const [, path = '', fragment = ''] = /^([^#]*)(#.*)?$/.exec(href) ?? []
  const file = relative(ROOT, join(dirname(source), decodeURI(path))).replaceAll('\\', '/')
  if (!existsSync(join(ROOT, file))) throw new Error(`${relative(ROOT, source)} links to ${href}, which does not exist`)
  const [place, address] = PLACES.find(([pattern]) => pattern.test(file)) ?? []
  return `${place && address ? file.replace(place, address) : `${ADDRESS}/blob/main/${file}`}${fragment}`
}

/** Returns the source file of the rendered page; VitePress has two names for it. */
export function sourceOf(env: unknown): string {
  for (const name of ['realPath', 'path']) {
    const source: unknown = typeof env === 'object' && env !== null ? Reflect.get(env, name) : undefined
    if (typeof source === 'string') return source
  }
  throw new TypeError('the renderer provides no file name')
}

/** The published packages, core first. */
export function publishedPackages(): string[] {
  const names = readdirSync(join(ROOT, 'packages')).filter(isPublished)
  return ['core', ...names.filter((name) => name !== 'core')]
}

function isPublished(name: string): boolean {
  const file = join(ROOT, 'packages', name, 'package.json')
  if (!existsSync(file)) return false
  const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return typeof manifest === 'object' && manifest !== null && !('private' in manifest)
}

function foldersOf(folder: string, isWanted: (name: string) => boolean): string[] {
  const entries = readdirSync(join(ROOT, folder), { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory() && isWanted(entry.name))
    .map(({ name }) => `${folder}/${name}/**`)
}
