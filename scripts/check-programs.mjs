import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import ts from 'typescript'
import { bootstrap, root } from './bootstrap.mjs'
import { runPrograms } from './run-programs.mjs'

/** Names that programs in the documentation may use without saying where they come from. */
const AMBIENT = `
import type { RefreshTokens, TokenStore } from '@baton/core'
import type { AccessTokens, PlainRequest, StaticClient } from '@baton/http'
declare global {
  const tokens: RefreshTokens
  const accessToken: AccessTokens
  const clients: readonly StaticClient[]
  const request: PlainRequest
  const myStore: () => TokenStore
  const users: { check(username: string, password: string): Promise<{ id: string } | null> }
}
`

await bootstrap()
const documents = ['README.md', 'SECURITY.md', ...pagesIn('docs'), ...readmesIn('packages'), ...readmesIn('examples')]
const { programs, whole, problems } = compile(documents)
for (const problem of problems) console.error(problem)
console.log(`${programs} programs in ${documents.length} documents, ${problems.length} problems`)
const failures = problems.length === 0 ? await run(whole) : []
process.exitCode = programs > 0 && problems.length === 0 && failures.length === 0 ? 0 : 1

async function run(whole) {
  const failures = await runPrograms(whole)
  for (const failure of failures) console.error(failure)
  console.log(`${whole.length} of them are whole and were run, ${failures.length} failed`)
  return failures
}

/** Compiles every TypeScript program of these documents, each where its document lies, and finds those that can be run. */
function compile(files) {
  const programs = new Map(files.flatMap((file) => programsOf(file)))
  const ambient = join(root, 'docs/ambient.md.ts')
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
  const whole = [...programs].filter(
    ([name, source]) =>
      source.mayRun && isWhole(program.getSourceFile(name), { checker: program.getTypeChecker(), ambient }),
  )
  return {
    programs: programs.size,
    whole: whole.map(([, { text, file, line }]) => ({ text, at: `${file}:${line}` })),
    problems: problems.map((problem) => messageOf(problem, sources)),
  }
}

function programsOf(file) {
  const text = readFileSync(file, 'utf8')
  const blocks = [...text.matchAll(/^```ts([^\n]*)\n(.*?)^```$/gms)]
  return blocks.map((block, index) => {
    const line = text.slice(0, block.index).split('\n').length + 1
    const mayRun = isOnSite(file) && block[1].trim() !== 'compile-only'
    // Compiled as modules, whether or not they import anything.
    return [
      join(homeOf(file), `${basename(file, '.md')}-${index}.md.ts`),
      { text: `${block[2]}\nexport {}\n`, file, line, mayRun },
    ]
  })
}

/** Where the program's imports are looked up; the pages of the whole project have what the site has. */
function homeOf(file) {
  return /^(packages|examples)\//.test(file) ? resolve(dirname(file)) : resolve('docs', dirname(file))
}

/** What private packages and examples show needs them around it. */
function isOnSite(file) {
  if (!file.startsWith('packages/')) return !file.startsWith('examples/')
  return JSON.parse(readFileSync(join(dirname(file), 'package.json'), 'utf8')).private !== true
}

/** A program that does something, and needs nothing that is not in it. */
function isWhole(file, { checker, ambient }) {
  const takesFromElsewhere = (node) => {
    if (ts.isImportDeclaration(node) && node.moduleSpecifier.text.startsWith('.')) return true
    if (ts.isIdentifier(node) && declarationsOf(node, checker).some((file) => file === ambient)) return true
    return ts.forEachChild(node, takesFromElsewhere) ?? false
  }
  const assumes = file.statements.some(({ modifiers = [] }) => modifiers.some(isDeclare))
  const acts = file.statements.some((node) => ts.isExpressionStatement(node) || ts.isIterationStatement(node, false))
  return acts && !assumes && file.statements.some(ts.isImportDeclaration) && !takesFromElsewhere(file)
}

/** The files that declare what this name stands for. */
function declarationsOf(name, checker) {
  const symbols = [checker.getSymbolAtLocation(name), checker.getShorthandAssignmentValueSymbol(name.parent)]
  return symbols
    .flatMap((symbol) => symbol?.declarations ?? [])
    .map((declaration) => declaration.getSourceFile().fileName)
}

function isDeclare({ kind }) {
  return kind === ts.SyntaxKind.DeclareKeyword
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
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !/node_modules|^api\b/.test(name))
    .map((name) => join(folder, name))
}

function readmesIn(folder) {
  return readdirSync(folder)
    .map((name) => join(folder, name, 'README.md'))
    .filter((file) => existsSync(file))
}
