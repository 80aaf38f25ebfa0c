import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { format, resolveConfig } from 'prettier'
import ts from 'typescript'

/*
 * Generates the option tables in Markdown from the declarations of `declareOptions`: names, defaults, and doc comments as descriptions.
 * A table stands between `<!-- options: FILE DECLARATION -->` and `<!-- /options -->`. `--check` fails if a table is outdated, `--write`
 * updates it.
 */
const TABLE = /<!-- options: (\S+) (\w+) -->\n[^]*?<!-- \/options -->/g

/** Returns the object literal that `declareOptions` or `extend` is called with. */
function findDeclaration(file, name) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
  const declared = source.statements
    .filter(ts.isVariableStatement)
    .flatMap(({ declarationList }) => [...declarationList.declarations])
    .find((declaration) => declaration.name.getText() === name)
  const [fields] = declared?.initializer?.arguments ?? []
  if (fields === undefined) throw new Error(`${file} has no declaration ${name}; correct the marker of the table`)
  return fields
}

function toRow(property) {
  const name = property.name.getText()
  const [doc] = ts.getJSDocCommentsAndTags(property)
  if (doc === undefined) throw new Error(`the option ${name} has no doc comment; add one`)
  const { expression, arguments: values = [] } = property.initializer
  const defaults = {
    required: 'required',
    optional: '–',
    withDefault: `\`${values[1]?.getText().replace(/(\d)_(?=\d)/g, '$1')}\``,
  }
  const helper = expression?.getText().replace(/^o\./, '')
  const text = ts.getTextOfJSDocComment(doc.comment).replace(/\s+/g, ' ').replaceAll('|', '\\|')
  return `| \`${name}\` | ${defaults[helper] ?? '–'} | ${text} |`
}

function toTable(file, name) {
  const rows = findDeclaration(file, name).properties.filter(ts.isPropertyAssignment).map(toRow)
  return ['| option | default | description |', '| --- | --- | --- |', ...rows].join('\n')
}

const pages = execFileSync('git', ['ls-files', '*.md'], { encoding: 'utf8' }).trim().split('\n')
const isWriting = process.argv.includes('--write')
for (const page of pages) {
  const before = readFileSync(page, 'utf8')
  if (!before.includes('<!-- options: ')) continue
  const text = before.replace(
    TABLE,
    (_, file, name) => `<!-- options: ${file} ${name} -->\n\n${toTable(file, name)}\n\n<!-- /options -->`,
  )
  const after = await format(text, { ...(await resolveConfig(page)), filepath: page })
  if (after === before) continue
  if (isWriting) writeFileSync(page, after)
  else {
    console.error(`${page}: an option table is outdated; run node scripts/option-tables.mjs --write`)
    process.exitCode = 1
  }
}
