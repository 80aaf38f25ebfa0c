import { readFileSync } from 'node:fs'
import { tsImport } from 'tsx/esm/api'
import ts from 'typescript'
import { createServer } from 'vite'
import { root } from './bootstrap.mjs'

/*
 * Reads the options of public functions: names and doc comments from the types, as an editor does, and defaults from the loaded
 * declarations. The client declares its options as interfaces; its defaults are in the doc comments.
 */

/** A declaration that other modules cannot import. It is exported while its default values are read. */
const DECLARATION = /^const (\w+) = (?:\w+\.)?(?:declareOptions|extend)\(/gm

/** Reads the options of these modules, each `{ name, file }`. */
export async function openDeclarations(modules) {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile('tsconfig.json', (name) => readFileSync(name, 'utf8')).config,
    ts.sys,
    root,
  )
  const files = modules.map(({ file }) => file)
  const program = ts.createProgram(files, options)
  const checker = program.getTypeChecker()
  const exported = modules.flatMap(({ name, file }) =>
    checker
      .getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)))
      .map((symbol) => ({ module: name, name: symbol.name, symbol: withoutAlias(symbol, checker) })),
  )
  const server = await createLoader(modules)
  return {
    /** The exported functions that have options, each `{ module, name }`. */
    functions: exported.filter(({ symbol }) => isValue(symbol) && optionsOfFunction(typeOf(symbol, checker), checker)),
    /** Returns the options of an exported function or type, or at a path such as `rateLimits` or `createCodes().issue`. */
    rowsOf: (path, packageName) =>
      Promise.all(
        checker
          .getPropertiesOfType(findOptions(path, { packageName, exported, checker }))
          .map((property) => toRow(property, { checker, server })),
      ),
    close: () => server.close(),
  }
}

function withoutAlias(symbol, checker) {
  return (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol)
}

function isValue(symbol) {
  return (symbol.flags & ts.SymbolFlags.Value) !== 0
}

function typeOf(symbol, checker) {
  return isValue(symbol) ? checker.getTypeOfSymbol(symbol) : checker.getDeclaredTypeOfSymbol(symbol)
}

function optionsOfFunction(type, checker) {
  return type
    .getCallSignatures()
    .flatMap(({ parameters }) => parameters)
    .map((parameter) => optionsObject(checker.getTypeOfSymbol(parameter), checker))
    .find((options) => options !== undefined)
}

/** Returns the options object of a type such as `true | CookieOptions | undefined`. */
function optionsObject(type, checker) {
  const alternatives = type.isUnion() ? type.types : [type]
  return alternatives.find((alternative) => {
    const properties = checker.getPropertiesOfType(alternative)
    const { name } = alternative.aliasSymbol ?? alternative.symbol ?? { name: '' }
    return properties.some(isDeclared) || (properties.length > 0 && name.endsWith('Options'))
  })
}

function isDeclared({ declarations = [] }) {
  return declarations.some((declaration) => declarationCall(declaration) !== undefined)
}

/** Returns the call of `declareOptions` or `extend` that has this property. */
function declarationCall({ parent }) {
  const call = parent?.parent
  const isCall = call !== undefined && ts.isCallExpression(call)
  return isCall && /(?:^|\.)(?:declareOptions|extend)$/.test(call.expression.getText()) ? call : undefined
}

/** Returns the package of a module such as `@baton/client/dpop`. */
export function packageOf(module) {
  return module.split('/', 2).join('/')
}

function findOptions(path, { packageName, exported, checker }) {
  const [head, ...names] = path.split('.')
  const named = exported.filter(({ name }) => name === head.replace('()', ''))
  const found = named.find(({ module }) => packageOf(module) === packageName) ?? named[0]
  if (found === undefined) throw new Error(`no package exports ${head}; correct the marker of the table`)
  const type = typeOf(found.symbol, checker)
  const start = head.endsWith('()') ? type.getCallSignatures()[0]?.getReturnType() : optionsOf(type, checker)
  const end = names.reduce((owner, name) => {
    const property = owner && checker.getPropertyOfType(owner, name)
    return property && optionsOf(checker.getTypeOfSymbol(property), checker)
  }, start)
  if (end === undefined) throw new Error(`${path} has no options; correct the marker of the table`)
  return end
}

function optionsOf(type, checker) {
  return optionsOfFunction(type, checker) ?? optionsObject(type, checker)
}

async function toRow(property, { checker, server }) {
  const isRequired = (property.flags & ts.SymbolFlags.Optional) === 0
  const text = describe(property, checker)
  if (text === '') throw new Error(`the option ${property.name} has no doc comment; add one`)
  const value = isRequired ? undefined : await defaultValueOf(property, server)
  return { name: property.name, isRequired, text, value, declaration: property.declarations[0] }
}

/** Returns the doc comment of an option, or that of the declaration that it takes over. */
function describe(symbol, checker) {
  const text = ts.displayPartsToString(symbol.getDocumentationComment(checker)).replace(/\s+/g, ' ').trim()
  const [declaration] = symbol.declarations ?? []
  if (text !== '' || declaration === undefined) return text
  const source = ts.isShorthandPropertyAssignment(declaration)
    ? checker.getShorthandAssignmentValueSymbol(declaration)
    : checker.getSymbolAtLocation(declaration.initializer?.name ?? declaration.initializer ?? declaration)
  return source === undefined || source === symbol ? '' : describe(withoutAlias(source, checker), checker)
}

/** Returns the default value of the loaded declaration. */
async function defaultValueOf({ name, declarations: [declaration] }, server) {
  const call = declarationCall(declaration)
  if (call === undefined || !ts.isVariableDeclaration(call.parent)) return undefined
  const module = await server.ssrLoadModule(declaration.getSourceFile().fileName)
  return module[call.parent.name.text].fields[name].defaultValue
}

async function createLoader(modules) {
  const { pageAsTextInVite } = await tsImport('../packages/console/page-as-text.ts', import.meta.url)
  return createServer({
    root,
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
    // Sources instead of builds.
    resolve: { alias: modules.map(({ name, file }) => ({ find: new RegExp(`^${name}$`), replacement: file })) },
    plugins: [pageAsTextInVite, { name: 'export-declarations', enforce: 'pre', transform: exportDeclarations }],
  })
}

function exportDeclarations(code, file) {
  if (!file.endsWith('.ts')) return null
  const names = [...code.matchAll(DECLARATION)].map(([, name]) => name)
  return names.length === 0 ? null : `${code}\nexport { ${names.join(', ')} }\n`
}
