import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { LINES } from './conformance-lines.mjs'

/*
 * Writes docs/conformance.md from the lines and from the names of the tests; with --check, says whether it is up to date. A line
 * that applies and has no test is an error.
 */
const PAGE = 'docs/conformance.md'
const MOST_NAMED = 2

const tests = testsById()
const problems = []
const page = await format(pageOf(), { ...(await resolveConfig(PAGE)), filepath: PAGE })

if (process.argv.includes('--check')) {
  if (currentPage() !== page) problems.push(`${PAGE} is out of date; run: node scripts/conformance.mjs`)
} else {
  writeFileSync(PAGE, page)
}
for (const problem of problems) console.error(problem)
console.log(`${LINES.flatMap(([, , lines]) => lines).length} lines, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1

function pageOf() {
  const sections = LINES.map(([, title, lines]) =>
    [
      `## ${title}`,
      '',
      '| id | from | requirement | shown by |',
      '| --- | --- | --- | --- |',
      ...lines.map(rowOf),
    ].join('\n'),
  )
  const introduction = [
    'What the standards of OAuth 2 ask of an authorization server that hands out refresh tokens, line by line, and the test that',
    'shows it. Where they contradict each other or say nothing, `decisions/007-choices-where-standards-differ.md` says',
    'what was chosen and why. This page is made from the names of the tests by `node scripts/conformance.mjs`.',
  ].join('\n')
  return ['# Conformance', introduction, ...sections].join('\n\n')
}

function rowOf([id, source, requirement, absent]) {
  const found = tests.get(id) ?? []
  if (absent === undefined && found.length === 0) problems.push(`${id} has no test`)
  if (absent !== undefined && found.length > 0) problems.push(`${id} is said to be absent, and has a test`)
  return `| ${id} | ${source} | ${requirement} | ${absent === undefined ? shownBy(found) : `does not apply: ${absent}`} |`
}

function shownBy(found) {
  const named = found
    .slice(0, MOST_NAMED)
    .map(({ file, name }) => `${file.replace(/^packages\//, '')}: ${escaped(name)}`)
  const others = found.length - named.length
  return [...named, ...(others > 0 ? [`and ${others} more`] : [])].join('<br>')
}

/** A name is text here, whatever signs it has. */
function escaped(name) {
  return name.replace(/\s+/g, ' ').replace(/[\\`*_[\]|<>{}$]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

function testsById() {
  const byId = new Map()
  for (const file of testFiles()) {
    for (const name of namesIn(readFileSync(file, 'utf8'))) {
      for (const id of new Set(name.match(/\b[A-Z]-\d\d\b/g))) byId.set(id, [...(byId.get(id) ?? []), { file, name }])
    }
  }
  return byId
}

function testFiles() {
  const folders = ['packages', 'internal'].flatMap((parent) =>
    readdirSync(parent).map((name) => `${parent}/${name}/test`),
  )
  return folders.flatMap(filesBelow).filter((file) => file.endsWith('.test.ts'))
}

/** In one order on every machine. */
function filesBelow(folder) {
  try {
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    return names.map((name) => join(folder, name).replaceAll('\\', '/')).sort()
  } catch {
    return []
  }
}

/** The texts that begin like the name of a test: right behind `test(`, `it(`, `each(…)(` and the like. */
function namesIn(source) {
  const named = /(?:\b(?:test|it|describe)\(|\]\)\(|\)\)\()\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g
  return [...source.matchAll(named)].map(([, , name]) => name.replace(/\\(.)/g, '$1'))
}

function currentPage() {
  try {
    return readFileSync(PAGE, 'utf8')
  } catch {
    return null
  }
}
