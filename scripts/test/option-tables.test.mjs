import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDeclarations } from '../declared-options.mjs'
import { renderPage, updatePages } from '../option-tables.mjs'

const SOURCE = `
import { boolean, declareOptions, func, integer, nested, optional, type OptionsOf, required, text, withDefault } from '@baton/core/options'

const HOUR = 60
const limit = withDefault(integer({ min: 1, max: 999 }), 2 * HOUR)
const windowOptions = declareOptions({
  /** The length, in seconds. */
  seconds: withDefault(integer({ min: 1, max: 9 }), 5),
})
const base = declareOptions({
  /** The name
   * of the widget. */
  name: required(text()),
  /** Default: the id. The label of the widget. */
  label: optional(text()),
  /** The clock. Default \`Date.now\`. */
  now: withDefault(func<() => number>(), () => Date.now()),
})
const widgetOptions = base.extend({
  /** The limit, as a | b. */
  limit,
  /** Another name. */
  name: withDefault(text(), 'w'),
  label: base.fields.label,
  /** The window. */
  window: optional(nested(windowOptions)),
  /** Default: none, so that all are accepted. */
  tags: optional(text()),
  /** From 1 to 9, default 8. */
  among: optional(integer({ min: 1, max: 9 })),
})
export type BaseOptions = OptionsOf<typeof base>
export type WidgetOptions = OptionsOf<typeof widgetOptions>
export function createWidget(id: string, options: WidgetOptions): { rename(options: BaseOptions): void } {
  widgetOptions.parse(id, options)
  return { rename: (given) => void base.parse('rename', given) }
}
export const createBase = (options: BaseOptions): void => void base.parse('createBase', options)

export type WithoutComment = OptionsOf<typeof withoutComment>
const withoutComment = declareOptions({ strict: withDefault(boolean(), false) })
export type WithWrongDefault = OptionsOf<typeof withWrongDefault>
const withWrongDefault = declareOptions({
  /** The size: 1 to 9, default 4. */
  size: withDefault(integer({ min: 1, max: 9 }), 3),
})
`
const START = '<!-- options: createWidget -->'
const END = '<!-- /options -->'
const folder = mkdtempSync(join(tmpdir(), 'baton-option-tables-'))
const packageName = '@example/widgets'
let declarations

beforeAll(async () => {
  const file = join(folder, 'index.ts')
  writeFileSync(file, SOURCE)
  const options = new URL('../../packages/core/src/options.ts', import.meta.url).pathname
  declarations = await openDeclarations([
    { name: '@baton/core/options', file: options },
    { name: packageName, file },
  ])
})

afterAll(async () => {
  await declarations.close()
  rmSync(folder, { recursive: true })
})

const render = (text) => renderPage(text, { packageName, declarations })

async function rowsOf(marker) {
  const { text, problems } = await render(`<!-- options: ${marker} -->\n${END}\n`)
  expect(problems).toEqual([])
  return text.split('\n').filter((line) => line.startsWith('| `'))
}

/** Writes a page and checks or updates it. Returns the messages about it, without those about other functions. */
async function update(text, { isWriting }) {
  const file = join(folder, 'README.md')
  if (text !== null) writeFileSync(file, text)
  const problems = await updatePages([{ file, packageName }], { declarations, isWriting })
  return problems.map((problem) => problem.replace(`${file}: `, ''))
}

describe('the rows of an option table', () => {
  it('include shorthand, extended and taken-over options, with evaluated defaults', async () => {
    expect((await rowsOf('createWidget')).sort()).toEqual(
      [
        '| `name` | `w` | Another name. |',
        '| `label` | the id | The label of the widget. |',
        '| `now` | `Date.now` | The clock. |',
        '| `limit` | `120` | The limit, as a \\| b. |',
        '| `window` | – | The window. |',
        '| `tags` | none | Default: none, so that all are accepted. |',
        '| `among` | 8 | From 1 to 9, default 8. |',
      ].sort(),
    )
  })

  it('include nested options after the option that has them', async () => {
    const rows = await rowsOf('createWidget; nested: window')
    const [, inner] = rows.slice(rows.findIndex((row) => row.startsWith('| `window`')))
    expect(inner).toBe('| `window.seconds` | `5` | The length, in seconds. |')
    expect(await rowsOf('createWidget.window')).toEqual(['| `seconds` | `5` | The length, in seconds. |'])
  })

  it('leave out the options of another table, but not options that replace them', async () => {
    const names = (await rowsOf('createWidget; without: BaseOptions')).map((row) => row.split('`')[1])
    expect(names.sort()).toEqual(['among', 'label', 'limit', 'name', 'tags', 'window'])
  })

  it('are those of a method of what a function returns', async () => {
    expect(await rowsOf('createWidget().rename')).toContain('| `name` | required | The name of the widget. |')
  })
})

describe('the check of option tables', () => {
  it.each([
    ['without an end marker', `${START}\n`, `${START} has no end marker ${END}`],
    ['before another start marker', `${START}\n${START}\n${END}\n`, `${START} has no end marker ${END}`],
    ['of an end without a start', `${END}\n`, `${END} has no start marker`],
    ['without a name', `<!-- options -->\n${END}\n`, '<!-- options --> is not a valid marker'],
    ['of an unknown function', `<!-- options: missing -->\n${END}\n`, 'missing: no package exports missing'],
    [
      'of functions with different options',
      `<!-- options: createWidget, createBase -->\n${END}\n`,
      'different options',
    ],
    ['of an option without a doc comment', `<!-- options: WithoutComment -->\n${END}\n`, 'strict has no doc comment'],
    [
      'of a doc comment with another default',
      `<!-- options: WithWrongDefault -->\n${END}\n`,
      'the doc comment of size has the default 4, the declaration 3',
    ],
  ])('reports a marker %s', async (_, text, message) => {
    expect((await render(text)).problems).toEqual([expect.stringContaining(message)])
  })

  it('reports a table that is outdated, and none after the table was written', async () => {
    const page = `# Widgets\n\n${START}\n\n${END}\n\n<!-- options: createBase -->\n\n${END}\n`
    expect(await update(page, { isWriting: false })).toEqual([expect.stringContaining('an option table is outdated')])
    expect(await update(page, { isWriting: true })).toEqual([])
    expect(await update(null, { isWriting: false })).toEqual([])
    const stale = readFileSync(join(folder, 'README.md'), 'utf8').replace('`120`', '`121`')
    expect(await update(stale, { isWriting: false })).toEqual([expect.stringContaining('an option table is outdated')])
  })

  it('reports a public function whose options have no table', async () => {
    expect(await update(`<!-- options: createBase -->\n\n${END}\n`, { isWriting: true })).toEqual([
      'the README of @example/widgets has no table of the options of createWidget; add <!-- options: createWidget -->',
    ])
  })

  it('reports an option table that is written by hand', async () => {
    const page = '| option | default |\n| ------ | ------- |\n| `name` | `w`     |\n'
    expect(await update(page, { isWriting: false })).toContain('an option table is written by hand; generate it')
  })
})
