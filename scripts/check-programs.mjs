import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import ts from 'typescript'
import { root } from './bootstrap.mjs'

/** Names that programs in the documentation may use without saying where they come from. */
const AMBIENT = `
import type { RefreshTokens, TokenStore } from '@baton/core'
import type { AccessTokens, PlainRequest } from '@baton/http'
declare global {
  const tokens: RefreshTokens
  const accessToken: AccessTokens
  const request: PlainRequest
  const myStore: () => TokenStore
  const users: { check(username: string, password: string): Promise<{ id: string } | null> }
}
`

const documents = ['README.md', ...pagesIn('docs'), ...readmesIn('packages'), ...readmesIn('examples')]
process.exitCode = check(documents)

/** Compiles every TypeScript program of these documents, each where its document lies. */
function check(files) {
  const programs = new Map(files.flatMap((file) => programsOf(file)))
  const ambient = join(root, 'packages/http/ambient.md.ts')
  const sources = new Map([...programs, [ambient, { text: AMBIENT }]])
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile('tsconfig.json', (name) => readFileSync(name, 'utf8')).config,
    ts.sys,
    root,
  )
  // Strict, as in most programs; stricter settings are this repository's own.
  Object.assign(options, { noPropertyAccessFromIndexSignature: false, exactOptionalPropertyTypes: false })
  const host = ts.createCompilerHost(options)
  const { fileExists, getSourceFile } = host
  host.fileExists = (name) => sources.has(name) || fileExists(name)
  host.getSourceFile = (name, languageVersion, ...rest) => {
    const source = sources.get(name)
    return source === undefined
      ? getSourceFile(name, languageVersion, ...rest)
      : ts.createSourceFile(name, source.text, languageVersion)
  }
  const program = ts.createProgram([...sources.keys()], options, host)
  const problems = [...sources.keys()].flatMap((name) => {
    const file = program.getSourceFile(name)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].filter(isOurs)
  })
  for (const problem of problems) console.error(messageOf(problem, sources))
  console.log(`${programs.size} programs in ${files.length} documents, ${problems.length} problems`)
  return problems.length === 0 && programs.size > 0 ? 0 : 1
}

function programsOf(file) {
  const text = readFileSync(file, 'utf8')
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)]
  return blocks.map((block, index) => {
    const line = text.slice(0, block.index).split('\n').length + 1
    // Compiled as modules, whether or not they import anything.
    return [
      join(homeOf(file), `${basename(file, '.md')}-${index}.md.ts`),
      { text: `${block[1]}\nexport {}\n`, file, line },
    ]
  })
}

/** Where the program's imports are looked up; the pages of the whole project have the dependencies of an example. */
function homeOf(file) {
  const folder = dirname(file)
  return folder.includes(sep) ? resolve(folder) : resolve('examples/express-sqlite', folder)
}

/** A module beside the program is the reader's own. */
function isOurs({ code, messageText }) {
  const isUnknownModule = code === 2307
  return !(isUnknownModule && ts.flattenDiagnosticMessageText(messageText, ' ').includes("'./"))
}

function messageOf({ file, start, messageText }, sources) {
  const { file: document, line } = sources.get(file.fileName)
  const at = file.getLineAndCharacterOfPosition(start)
  return `${relative(root, resolve(document ?? file.fileName))}:${(line ?? 1) + at.line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
}

function pagesIn(folder) {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
}

function readmesIn(folder) {
  return readdirSync(folder)
    .map((name) => join(folder, name, 'README.md'))
    .filter((file) => existsSync(file))
}
