import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import ts from 'typescript'
import { bootstrap, root } from './bootstrap.mjs'
import { findUndocumented, listEntryModules, listExamples } from './entry-points.mjs'
import { runPrograms } from './run-programs.mjs'

/*
 * Compiles the programs in the documentation and the examples of doc comments, and runs the programs that are complete. Fails if a
 * function that a package exports has no example.
 */

/** Names that programs in the documentation may use without declaring them. */
const AMBIENT = `
import type { Session } from '@baton/client'
import type { RefreshTokens, TokenStore } from '@baton/core'
import type { AccessTokens, PlainRequest, StaticClient } from '@baton/http'
import type { Express } from 'express'
declare global {
  const tokens: RefreshTokens
  const accessTokens: AccessTokens
  const clients: readonly StaticClient[]
  const request: PlainRequest
  const app: Express
  const session: Session
  const location: { readonly href: string; assign(url: string): void }
  const sessionStorage: { getItem(key: string): string | null; setItem(key: string, value: string): void }
  const myStore: () => TokenStore
  const users: { check(username: string, password: string): Promise<{ id: string } | null> }
}
`

await bootstrap()
const documents = [
  'README.md',
  'SECURITY.md',
  ...listPages('docs'),
  ...listReadmes('packages'),
  ...listReadmes('examples'),
]
const programs = documents.flatMap((file) => listPrograms(file))
const examples = listExamples()
const { runnable, exported, problems } = compile([...programs, ...examples])
for (const problem of problems) console.error(problem)
console.log(
  `${programs.length} programs in ${documents.length} documents, ${examples.length} examples, ${exported} exports, ${problems.length} problems`,
)
const isEmpty = [programs.length, examples.length, exported].includes(0)
const failures = problems.length === 0 ? await run(runnable) : []
process.exitCode = isEmpty || problems.length > 0 || failures.length > 0 ? 1 : 0

async function run(runnable) {
  const failures = await runPrograms(runnable)
  for (const failure of failures) console.error(failure)
  console.log(`${runnable.length} of them are complete and were run, ${failures.length} failed`)
  return failures
}

/** Compiles these programs together with the packages, and finds the programs that can be run. */
function compile(modules) {
  const programs = new Map(modules)
  const ambient = join(root, 'docs/ambient.md.ts')
  const sources = new Map([...programs, [ambient, { text: AMBIENT }]])
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile('tsconfig.json', (name) => readFileSync(name, 'utf8')).config,
    ts.sys,
    root,
  )
  // As strict as most projects. The other settings apply to this repository only.
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
  const entries = listEntryModules().map(({ file }) => file)
  const program = ts.createProgram([...sources.keys(), ...entries], options, host)
  const problems = [...sources.keys()].flatMap((name) => {
    const file = program.getSourceFile(name)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].filter(isReported)
  })
  const runnable = [...programs].filter(
    ([name, source]) =>
      source.mayRun && isRunnable(program.getSourceFile(name), { checker: program.getTypeChecker(), ambient }),
  )
  const { count, problems: undocumented } = findUndocumented(program)
  return {
    exported: count,
    runnable: runnable.map(([, { text, file, line }]) => ({ text, at: `${file}:${line}` })),
    problems: [...problems.map((problem) => formatProblem(problem, sources)), ...undocumented],
  }
}

function listPrograms(file) {
  const text = readFileSync(file, 'utf8')
  const blocks = [...text.matchAll(/^```ts([^\n]*)\n(.*?)^```$/gms)]
  return blocks.map((block, index) => {
    const line = text.slice(0, block.index).split('\n').length + 1
    const mayRun = isPublished(file) && block[1].trim() !== 'compile-only'
    // Compiled as modules, with or without imports.
    return [
      join(getModuleDirectory(file), `${basename(file, '.md')}-${index}.md.ts`),
      { text: `${block[2]}\nexport {}\n`, file, line, mayRun },
    ]
  })
}

/** Returns the directory that imports are resolved from. The pages of the project have the dependencies of the site. */
function getModuleDirectory(file) {
  return /^(packages|examples)\//.test(file) ? resolve(dirname(file)) : resolve('docs', dirname(file))
}

/** Programs in private packages and in examples depend on the files next to them. */
function isPublished(file) {
  if (!file.startsWith('packages/')) return !file.startsWith('examples/')
  return JSON.parse(readFileSync(join(dirname(file), 'package.json'), 'utf8')).private !== true
}

/** Returns true if the program executes something and depends on no other file. */
function isRunnable(file, { checker, ambient }) {
  const hasExternalReference = (node) => {
    if (ts.isImportDeclaration(node) && node.moduleSpecifier.text.startsWith('.')) return true
    if (ts.isIdentifier(node) && findDeclarationFiles(node, checker).some((file) => file === ambient)) return true
    return ts.forEachChild(node, hasExternalReference) ?? false
  }
  const hasAmbientDeclarations = file.statements.some(({ modifiers = [] }) => modifiers.some(isDeclare))
  const hasStatement = file.statements.some(
    (node) => ts.isExpressionStatement(node) || ts.isIterationStatement(node, false),
  )
  return (
    hasStatement &&
    !hasAmbientDeclarations &&
    file.statements.some(ts.isImportDeclaration) &&
    !hasExternalReference(file)
  )
}

/** Returns the files that declare this name. */
function findDeclarationFiles(name, checker) {
  const symbols = [checker.getSymbolAtLocation(name), checker.getShorthandAssignmentValueSymbol(name.parent)]
  return symbols
    .flatMap((symbol) => symbol?.declarations ?? [])
    .map((declaration) => declaration.getSourceFile().fileName)
}

function isDeclare({ kind }) {
  return kind === ts.SyntaxKind.DeclareKeyword
}

/** A relative import refers to a file that the reader writes. */
function isReported({ code, messageText }) {
  const isUnknownModule = code === 2307
  return !(isUnknownModule && ts.flattenDiagnosticMessageText(messageText, ' ').includes("'./"))
}

function formatProblem({ file, start, messageText }, sources) {
  const { file: document, line } = sources.get(file.fileName)
  const at = file.getLineAndCharacterOfPosition(start)
  return `${relative(root, resolve(document ?? file.fileName))}:${(line ?? 1) + at.line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
}

function listPages(folder) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !/node_modules|^api\b/.test(name))
    .map((name) => join(folder, name))
}

function listReadmes(folder) {
  return readdirSync(folder)
    .map((name) => join(folder, name, 'README.md'))
    .filter((file) => existsSync(file))
}
