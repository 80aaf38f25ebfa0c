import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { publishedPackages, ROOT } from './repository.ts'

interface Entry {
  readonly text: string
  readonly link: string
}

const QUICK_STARTS = ['express', 'koa', 'fastify', 'hono', 'node'].map((name) => pageOf(`quick-start/${name}`))

const CONCEPTS = ['how-it-works', 'conformance', 'reliability', 'performance']

const GUIDES = [
  'guides/cookies-or-tokens',
  'guides/single-page-apps',
  'guides/mobile-apps',
  'guides/nextjs',
  'guides/hono-and-edge',
  'client',
  'guides/choosing-a-store',
  'guides/several-regions',
  'guides/key-rotation',
  'guides/resource-servers',
  'operating',
  'migrating',
  'writing-a-store',
]

const pages = markdownBelow('docs')
/** Pages that are new and not listed above are guides. */
const further = pages.filter(
  (page) => ![...CONCEPTS, ...GUIDES, 'index'].includes(page) && !/^(api|internal|quick-start)\//.test(page),
)

/** Pages for contributors. */
const internal = pages.filter((page) => page.startsWith('internal/'))

export const navigation = [
  { text: 'Quick start', link: '/quick-start/express', activeMatch: '^/quick-start/' },
  { text: 'How it works', link: '/how-it-works' },
  { text: 'Guides', link: '/guides/cookies-or-tokens', activeMatch: '^/guides/' },
  { text: 'API', link: '/api/core', activeMatch: '^/api/' },
]

export const sidebar = [
  { text: 'Quick start', items: QUICK_STARTS },
  { text: 'Concepts', items: [...CONCEPTS.filter(isWritten).map(pageOf), { text: 'Threat model', link: '/security' }] },
  { text: 'Guides', items: [...GUIDES.filter(isWritten), ...further].map(pageOf) },
  {
    text: 'Packages',
    collapsed: true,
    items: publishedPackages().map((name) => ({ text: `@baton/${name}`, link: `/packages/${name}` })),
  },
  {
    text: 'API',
    collapsed: true,
    items: publishedPackages().map((name) => ({ text: `@baton/${name}`, link: `/api/${name}` })),
  },
  {
    text: 'The project',
    collapsed: true,
    items: [
      { text: 'Examples', link: '/examples' },
      { text: 'Contributing', link: '/contributing' },
      { text: 'Code of conduct', link: '/conduct' },
      ...internal.map(pageOf),
    ],
  },
  { text: 'Decisions', collapsed: true, items: decisions() },
]

function isWritten(page: string): boolean {
  return pages.includes(page)
}

function pageOf(page: string): Entry {
  return { text: titleOf(`docs/${page}.md`), link: `/${page}` }
}

function decisions(): Entry[] {
  return readdirSync(join(ROOT, 'decisions'))
    .sort()
    .map((name) => ({ text: titleOf(`decisions/${name}`), link: `/decisions/${name.replace(/\.md$/, '')}` }))
}

function markdownBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.md') && !/node_modules|^\./.test(name))
    .map((name) => name.replace(/\.md$/, ''))
    .sort()
}

function titleOf(file: string): string {
  const heading = /^# (.+)$/m.exec(readFileSync(join(ROOT, file), 'utf8'))?.[1]
  if (heading === undefined) throw new Error(`${file} has no heading`)
  return heading.replaceAll('`', '')
}
