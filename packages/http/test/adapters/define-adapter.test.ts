import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { type AdapterHandlers, defineAdapter } from '../../src/index.js'
import { createSetup } from '../setup.js'

const adapter = defineAdapter({
  mount: (endpoint, extent) => ({ endpoint, extent }),
  serve: (server) => ({ endpoint: server.endpoint, extent: 'server' }),
})

describe('defineAdapter', () => {
  test('throws for invalid options when the handler is created, not at the first request', () => {
    const { tokens } = createSetup()
    expect(() => adapter.logoutHandler(tokens, { cookie: { name: 'not a name' } })).toThrow('cookie.name')
  })

  test('mounts the sessions endpoint for the paths below, the others for one path', () => {
    const { tokens } = createSetup()
    expect(adapter.logoutHandler(tokens, { cookie: true }).extent).toBe('path')
    expect(adapter.sessionsHandler(tokens, { accessTokens: async () => null }).extent).toBe('subtree')
  })

  test('shows the documentation of every handler in an editor if an adapter destructures its exports', () => {
    const names = Object.keys(adapter) as (keyof AdapterHandlers<unknown>)[]
    const calls = names.map((name) => `${name}()`).join('\n')
    const declarations = `import type { AdapterHandlers, ${names.map(factoryOf).join(', ')} } from './index.js'
${names.map((name) => `export declare const ${name}: ${factoryOf(name)}<string>`).join('\n')}`
    const documentationAt = languageService({
      'declarations.d.ts': declarations,
      'app.ts': `import { ${names.join(', ')} } from './declarations.js'\n${calls}`,
    })
    for (const name of names) expect(documentationAt(`${name}()`), name).toMatch(/^Creates a handler /)
  })
})

function factoryOf(name: string): string {
  return `${name.charAt(0).toUpperCase()}${name.slice(1)}Factory`
}

/** Returns the documentation that an editor shows at a text of `app.ts`. The files are in the directory of the sources. */
function languageService(files: Readonly<Record<string, string>>): (text: string) => string {
  const folder = fileURLToPath(new URL('../../src/', import.meta.url))
  const extra = new Map(Object.entries(files).map(([name, text]) => [folder + name, text]))
  const read = (path: string) => extra.get(path) ?? readFileSync(path, 'utf8')
  const exists = (path: string) => extra.has(path) || ts.sys.fileExists(path)
  const service = ts.createLanguageService({
    getScriptFileNames: () => [...extra.keys()],
    getScriptVersion: () => '1',
    getScriptSnapshot: (path) => (exists(path) ? ts.ScriptSnapshot.fromString(read(path)) : undefined),
    getCurrentDirectory: () => folder,
    getCompilationSettings: () => ({
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      types: [],
    }),
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: exists,
    readFile: read,
  })
  const app = `${folder}app.ts`
  const text = read(app)
  return (searched) => {
    const info = service.getQuickInfoAtPosition(app, text.indexOf(searched))
    return ts.displayPartsToString(info?.documentation)
  }
}
