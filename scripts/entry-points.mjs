import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import ts from 'typescript'
import { root } from './bootstrap.mjs'
import { publishedPackages } from './tarballs.mjs'

/** Exported functions that need no example, by reason. */
const WITHOUT_EXAMPLE = {
  'a part of a declaration; the example of declareOptions shows how parts are used': {
    '@baton/core/options': [
      ...['required', 'optional', 'withDefault', 'rule', 'nested', 'nullable', 'listOf', 'literalOr', 'oneOf'],
      ...['boolean', 'integer', 'seconds', 'instant', 'text', 'scopeText', 'matching', 'secret', 'secretRing'],
      ...['func', 'plainObject', 'objectWith', 'checkedObject', 'untrusted'],
    ],
  },
  'internal: exported for the other entry points of the package': { '@baton/client': ['checkOptions'] },
}

const EXAMPLE = /^[ \t]*\* @example\b[^\n]*\n(.*?)(?=^[ \t]*\* @|\*\/)/gms
const PROGRAM = /^```tsx?\n(.*?)^```$/ms

/** The modules that users import, by name, and the source file of each. */
export function listEntryModules() {
  return publishedPackages().flatMap((folder) => {
    const { name, exports = {} } = JSON.parse(readFileSync(join('packages', folder, 'package.json'), 'utf8'))
    return Object.keys(exports)
      .filter((subpath) => subpath !== './package.json')
      .map((subpath) => ({
        name: name + subpath.slice(1),
        file: join(root, 'packages', folder, 'src', `${subpath === '.' ? 'index' : subpath.slice(2)}.ts`),
      }))
  })
}

/** The examples of doc comments, each as `[file name of a module, source]`. */
export function listExamples() {
  return publishedPackages()
    .flatMap((folder) => listSources(`packages/${folder}/src`))
    .flatMap((file) => {
      const text = readFileSync(file, 'utf8')
      return [...text.matchAll(EXAMPLE)].flatMap((example, index) => toModule({ file, text, example, index }))
    })
}

function listSources(folder) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}

function toModule({ file, text, example, index }) {
  const line = text.slice(0, example.index).split('\n').length
  const [, program] = PROGRAM.exec(example[1].replace(/^[ \t]*\* ?/gm, '')) ?? []
  if (program === undefined) return []
  const [, folder] = file.split('/')
  const name = resolve('packages', folder, `${file.replaceAll('/', '-')}-${index}.example.ts`)
  return [[name, { text: `${program}\nexport {}\n`, file, line: line + 2, mayRun: false }]]
}

/** Returns one message for each exported value without a doc comment, and for each exported function without an example or a link. */
export function findUndocumented(program) {
  const checker = program.getTypeChecker()
  const entries = listEntryModules().flatMap(({ name, file }) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file))
    return checker
      .getExportsOfModule(module)
      .map((symbol) => describeExport(name, symbol, checker))
      .filter(({ isValue }) => isValue)
  })
  return { count: entries.length, problems: entries.flatMap(problemsOf) }
}

function describeExport(module, exported, checker) {
  const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0
  const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported
  const type = checker.getTypeOfSymbol(symbol)
  const signatures = type.getCallSignatures()
  // The comment of a destructured function is the one of its type.
  const documented = [symbol, ...signatures]
  return {
    module,
    name: exported.name,
    isValue: (symbol.flags & ts.SymbolFlags.Value) !== 0,
    isFunction: signatures.length > 0,
    comment: documented.map((each) => ts.displayPartsToString(each.getDocumentationComment(checker))).join('\n'),
    hasExample: documented.some((each) => each.getJsDocTags(checker).some(isProgram)),
  }
}

function isProgram({ name, text }) {
  return name === 'example' && PROGRAM.test(ts.displayPartsToString(text))
}

function problemsOf({ module, name, isFunction, comment, hasExample }) {
  const isAllowed = Object.values(WITHOUT_EXAMPLE).some((modules) => modules[module]?.includes(name))
  if (comment.trim() === '') return [`${module} exports ${name} without a doc comment; add one`]
  if (hasExample && /RFC \d/.test(comment) && !comment.includes('](https://www.rfc-editor.org/rfc/'))
    return [
      `${module} exports ${name}, whose comment mentions an RFC without a link; write [RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)`,
    ]
  if (isFunction && !hasExample && !isAllowed)
    return [`${module} exports ${name} without an @example; add one with a block of ts that imports it`]
  return hasExample && isAllowed ? [`${module} exports ${name} with an @example; remove it from the exceptions`] : []
}
