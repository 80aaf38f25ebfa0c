import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { LINES } from './conformance-lines.mjs'

/*
 * Writes docs/conformance.md from the requirements and the test names. With --check, reports whether the page is up to
 * date. A requirement that applies and has no test is an error.
 */
const PAGE = 'docs/conformance.md'
const MAX_NAMED = 2

const tests = groupTestsById()
const problems = []
const page = await format(renderPage(), { ...(await resolveConfig(PAGE)), filepath: PAGE })

if (process.argv.includes('--check')) {
  if (readPage() !== page) problems.push(`${PAGE} is out of date; run: node scripts/conformance.mjs`)
} else {
  writeFileSync(PAGE, page)
}
for (const problem of problems) console.error(problem)
console.log(`${LINES.flatMap(([, , lines]) => lines).length} lines, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1

function renderPage() {
  const sections = LINES.map(([, title, lines]) =>
    [
      `## ${title}`,
      '',
      '| id | source | requirement | tests |',
      '| --- | --- | --- | --- |',
      ...lines.map(renderRow),
    ].join('\n'),
  )
  const introduction = [
    'The requirements of the OAuth 2 standards for an authorization server with refresh tokens, and the tests for each.',
    'Where the standards contradict each other or leave a choice, `decisions/007-choices-where-standards-differ.md` explains it.',
    'This page is generated from the test names by `node scripts/conformance.mjs`.',
  ].join('\n')
  return ['# Conformance', introduction, ...sections].join('\n\n')
}

function renderRow([id, source, requirement, absent]) {
  const found = tests.get(id) ?? []
  if (absent === undefined && found.length === 0) problems.push(`${id} has no test`)
  if (absent !== undefined && found.length > 0) problems.push(`${id} is marked as absent and has a test`)
  return `| ${id} | ${source} | ${requirement} | ${absent === undefined ? renderTests(found) : `does not apply: ${absent}`} |`
}

function renderTests(found) {
  const named = found
    .slice(0, MAX_NAMED)
    .map(({ file, name }) => `${file.replace(/^packages\//, '')}: ${escapeMarkdown(name)}`)
  const others = found.length - named.length
  return [...named, ...(others > 0 ? [`and ${others} more`] : [])].join('<br>')
}

/** Escapes the characters with a meaning in Markdown or HTML. */
function escapeMarkdown(name) {
  return name.replace(/\s+/g, ' ').replace(/[\\`*_[\]|<>{}$]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

function groupTestsById() {
  const byId = new Map()
  for (const file of testFiles()) {
    for (const name of findTestNames(readFileSync(file, 'utf8'))) {
      for (const id of new Set(name.match(/\b[A-Z]-\d\d\b/g))) byId.set(id, [...(byId.get(id) ?? []), { file, name }])
    }
  }
  return byId
}

function testFiles() {
  const folders = ['packages', 'internal'].flatMap((parent) =>
    readdirSync(parent).map((name) => `${parent}/${name}/test`),
  )
  return folders.flatMap(listFiles).filter((file) => file.endsWith('.test.ts'))
}

/** Sorted, so that the order is the same on every machine. */
function listFiles(folder) {
  try {
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    return names.map((name) => join(folder, name).replaceAll('\\', '/')).sort()
  } catch {
    return []
  }
}

/** Finds the first string argument of `test(`, `it(`, `each(…)(` and similar calls. */
function findTestNames(source) {
  const named = /(?:\b(?:test|it|describe)\(|\]\)\(|\)\)\()\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g
  return [...source.matchAll(named)].map(([, , name]) => name.replace(/\\(.)/g, '$1'))
}

function readPage() {
  try {
    return readFileSync(PAGE, 'utf8')
  } catch {
    return null
  }
}
