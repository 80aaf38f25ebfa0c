import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { format, resolveConfig } from 'prettier'
import { openDeclarations, packageOf } from './declared-options.mjs'
import { listEntryModules } from './entry-points.mjs'

/*
 * Generates the option tables in Markdown from the declarations: names, defaults, and doc comments as descriptions. A table stands between
 * `<!-- options: NAME -->` and `<!-- /options -->`. NAME is an exported function or type, or the path of its nested options, such as
 * `refreshEndpoint.cookie`, or several with the same options: `toWebHandler, webGuard`. `; nested: NAME` adds the rows of nested options,
 * `; without: NAME, NAME` leaves out the options that are in another table.
 * Without `--write` the script fails if a table is outdated or if a public function has no table.
 */
const MARKER = /<!-- (options\b[^>]*?|\/options) -->/g
const START = /^options: ([\w.(), ]+)(?:; nested: (\w+))?(?:; without: ([\w., ]+))?$/
const END = '/options'

/** Functions that need no table, by reason. `*` stands for all functions of a module. */
const WITHOUT_TABLE = {
  'the options of the function of the same purpose of @baton/http': {
    '@baton/express': ['*'],
    '@baton/hono': ['*'],
    '@baton/koa': ['*'],
    '@baton/fastify': [
      ...[
        'authPlugin',
        'introspectionPlugin',
        'loginPlugin',
        'logoutPlugin',
        'refreshPlugin',
        'revocationPlugin',
        'revocationsPlugin',
      ],
      ...['sessionsPlugin', 'tokenPlugin', 'requireAccessToken'],
    ],
  },
  'for authors of stores and of options; see the doc comments': {
    '@baton/core/options': ['*'],
    '@baton/core/store': ['*'],
  },
  'called by adapters, with options that they have built': { '@baton/http': ['handleNodeRequest', 'readNodeRequest'] },
  'two or three of the options of every endpoint': { '@baton/http': ['csrfGuard', 'requestCounter'] },
  'has one option, for tests': { '@baton/client/discovery': ['discover'] },
}

/** Returns the text of a page with current tables, the paths of the tables, and messages about its markers. */
export async function renderPage(text, { packageName, declarations }) {
  const problems = []
  const paths = []
  const parts = []
  let at = 0
  const markers = [...text.matchAll(MARKER)]
  for (const [index, { 0: marker, 1: content, index: start }] of markers.entries()) {
    if (content === END) {
      if (!isStart(markers[index - 1])) problems.push(`${marker} has no start marker`)
      continue
    }
    const end = markers[index + 1]
    const [, names, nested, without = ''] = START.exec(content) ?? []
    if (names === undefined) problems.push(`${marker} is not a valid marker`)
    else if (end?.[1] !== END) problems.push(`${marker} has no end marker <!-- ${END} -->`)
    else {
      const marked = { names: toList(names), nested, without: toList(without) }
      paths.push(...marked.names)
      const table = await renderTable(marked, { packageName, declarations, problems })
      parts.push(text.slice(at, start + marker.length), table)
      at = end.index
    }
  }
  return { text: [...parts, text.slice(at)].join(''), paths, problems }
}

function isStart(marker) {
  return marker !== undefined && marker[1] !== END
}

function toList(names) {
  return names.split(', ').filter((name) => name !== '')
}

async function renderTable({ names, nested, without }, { packageName, declarations, problems }) {
  const [first, ...others] = names
  const rowsOf = (path) => declarations.rowsOf(path, packageName)
  try {
    const rows = await rowsOf(first)
    for (const other of others) assertSameOptions(first, rows, { other, rows: await rowsOf(other) })
    const inner = nested === undefined ? [] : await rowsOf(`${first}.${nested}`)
    const omitted = (await Promise.all(without.map(rowsOf))).flat()
    const lines = rows
      .filter(({ declaration }) => !omitted.some((row) => row.declaration === declaration))
      .flatMap((row) => (row.name === nested ? [row, ...inner.map((each) => withPrefix(nested, each))] : [row]))
      .map(renderRow)
    return `\n\n${['| option | default | description |', '| --- | --- | --- |', ...lines].join('\n')}\n\n`
  } catch (error) {
    problems.push(`${first}: ${error.message.split('\n', 1)[0]}`)
    return '\n\n'
  }
}

function withPrefix(prefix, row) {
  return { ...row, name: `${prefix}.${row.name}` }
}

function assertSameOptions(first, rows, { other, rows: otherRows }) {
  const isSame =
    rows.length === otherRows.length && rows.every((row, at) => row.declaration === otherRows[at].declaration)
  if (!isSame) throw new Error(`${first} and ${other} have different options; give each a table`)
}

/** A sentence such as "Default 30." or "Default: the id, as text." */
const DEFAULT_SENTENCE = /(?:^| )Default:? (.+?)\.(?= |$)/
/** A default value in a doc comment, within a sentence or as one. */
const DEFAULT_VALUE = /\bdefault:? (`[^`]+`|\d+(?: \d{3})*|true|false|null)(?= |[.,;:)]|$)/i
const REASON = /(?:[:;]|, (?:so|which|because|except)) /

function renderRow({ name, isRequired, text, value }) {
  const [sentence, stated] = DEFAULT_SENTENCE.exec(text) ?? []
  const [short] = stated?.split(REASON) ?? []
  const evaluated = renderValue(value)
  assertSameDefault({ name, text, value })
  // A sentence that has a reason stays in the description.
  const description = short !== undefined && short === stated ? text.replace(sentence, '').trim() : text
  const defaultCell = isRequired ? 'required' : (evaluated ?? short ?? DEFAULT_VALUE.exec(text)?.[1] ?? '–')
  return `| \`${name}\` | ${escapeCell(defaultCell)} | ${escapeCell(description)} |`
}

/** Returns null for a value that has no short text, such as a function: its doc comment has one. */
function renderValue(value) {
  if (value === '' || (Array.isArray(value) && value.length === 0)) return 'none'
  if (Array.isArray(value) && value.every((item) => typeof item === 'string'))
    return value.map((item) => `\`${item}\``).join(', ')
  return value === null || ['string', 'number', 'boolean'].includes(typeof value) ? `\`${value}\`` : null
}

/** Throws if the doc comment names another default than the declaration has. */
function assertSameDefault({ name, text, value }) {
  const [, stated] = DEFAULT_VALUE.exec(text) ?? []
  if (stated === undefined || (value !== null && !['string', 'number', 'boolean'].includes(typeof value))) return
  const plain = stated.startsWith('`') ? stated.slice(1, -1) : stated.replaceAll(' ', '')
  if (plain !== String(value))
    throw new Error(
      `the doc comment of ${name} has the default ${plain}, the declaration ${value}; correct the comment`,
    )
}

function escapeCell(text) {
  return text.replaceAll('|', '\\|')
}

const TABLE_OF_OPTIONS = /^\| *option *\|/m

/** Returns messages about functions without a table, by module. */
export function findMissingTables(functions, pathsByPackage) {
  return functions
    .filter(({ module, name }) => !isExcepted(module, name))
    .filter(({ module, name }) => !pathsByPackage.get(packageOf(module))?.includes(name))
    .map(
      ({ module, name }) =>
        `the README of ${packageOf(module)} has no table of the options of ${name}; add <!-- options: ${name} -->`,
    )
}

function isExcepted(module, name) {
  return Object.values(WITHOUT_TABLE).some((modules) => modules[module]?.some((each) => each === '*' || each === name))
}

/** Checks the pages, each `{ file, packageName }`, or writes their tables. Returns messages. */
export async function updatePages(pages, { declarations, isWriting }) {
  const problems = []
  const pathsByPackage = new Map()
  for (const { file, packageName } of pages) {
    const before = readFileSync(file, 'utf8')
    const page = await renderPage(before, { packageName, declarations })
    problems.push(...page.problems.map((problem) => `${file}: ${problem}`))
    pathsByPackage.set(packageName, [...(pathsByPackage.get(packageName) ?? []), ...page.paths])
    const byHand = before.replaceAll(/<!-- options\b[^]*?<!-- \/options -->/g, '')
    if (TABLE_OF_OPTIONS.test(byHand)) problems.push(`${file}: an option table is written by hand; generate it`)
    if (page.paths.length === 0) continue
    const after = await format(page.text, { ...(await resolveConfig(file)), filepath: file })
    if (after === before) continue
    if (isWriting) writeFileSync(file, after)
    else problems.push(`${file}: an option table is outdated; run node scripts/option-tables.mjs --write`)
  }
  return [...problems, ...findMissingTables(declarations.functions, pathsByPackage)]
}

function listPages() {
  const files = execFileSync('git', ['ls-files', 'packages/*/README.md'], { encoding: 'utf8' }).trim().split('\n')
  return files.map((file) => ({ file, packageName: `@baton/${dirname(file).split('/').at(-1)}` }))
}

async function main() {
  const declarations = await openDeclarations(listEntryModules())
  const problems = await updatePages(listPages(), { declarations, isWriting: process.argv.includes('--write') })
  await declarations.close()
  for (const problem of problems) console.error(problem)
  process.exitCode = problems.length === 0 ? 0 : 1
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main()
