import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const site = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist')
const pages = new Map(
  readdirSync(site, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.html'))
    .map((name) => [`/${name.replaceAll('\\', '/')}`, readFileSync(join(site, name), 'utf8')]),
)

const problems = [...pages].flatMap(([page, html]) => [
  ...brokenLinks(page, html).map((problem) => `${page} ${problem}`),
  ...partsOfOtherOrigins(html).map((part) => `${page} loads ${part} from another origin`),
])
for (const problem of new Set(problems)) console.error(problem)
console.log(`${pages.size} pages, ${problems.length} problems`)
process.exitCode = problems.length === 0 && pages.size > 1 ? 0 : 1

/** Broken links within the site, including anchors: VitePress checks neither anchors nor files that are not Markdown. */
function brokenLinks(page, html) {
  return [...html.matchAll(/<a\b[^>]*?\shref="([^"]*)"/g)].flatMap(([, raw]) => {
    const href = raw.replaceAll('&amp;', '&')
    if (/^[a-z]+:/i.test(href)) return []
    const { pathname, hash } = new URL(href, `http://site${page}`)
    const target = fileOf(pathname)
    if (target === undefined) return existsSync(join(site, pathname)) ? [] : [`links to ${href}, which does not exist`]
    const id = decodeURIComponent(hash.slice(1))
    return id === '' || pages.get(target).includes(` id="${id}"`) ? [] : [`links to ${href}, which has no such anchor`]
  })
}

function fileOf(pathname) {
  const path = decodeURIComponent(pathname)
  return [path, `${path}.html`, `${path.replace(/\/$/, '')}/index.html`].find((name) => pages.has(name))
}

/** Parts from other origins, which would reveal the readers of a page. */
function partsOfOtherOrigins(html) {
  const parts = [
    ...html.matchAll(/<(?:script|img|iframe|source)\b[^>]*?\ssrc="([^"]*)"/g),
    ...html.matchAll(/<link\b(?=[^>]*\brel="(?:stylesheet|preload|modulepreload|icon)")[^>]*?\shref="([^"]*)"/g),
  ]
  return parts.map(([, address]) => address).filter((address) => /^([a-z]+:)?\/\//i.test(address))
}
