import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from './bootstrap.mjs'

const quiet = { stdio: ['ignore', 'ignore', 'inherit'] }

/** The directories below `packages` whose packages are published. */
export function publishedPackages() {
  return readdirSync('packages').filter((name) => {
    try {
      return readManifest(name).private !== true
    } catch {
      return false
    }
  })
}

/** Returns true if the package has more than one entry point. */
export function hasSubpaths(name) {
  const paths = Object.keys(readManifest(name).exports ?? {})
  return paths.some((path) => path !== '.' && path !== './package.json')
}

/** Packs the built package as it would be published. Resolves to an exit code. */
export function pack(name, folder) {
  return run('pnpm', ['--dir', join('packages', name), 'pack', '--out', tarballPath(name, folder)], quiet)
}

export function tarballPath(name, folder) {
  return join(folder, `${name}.tgz`)
}

/**
 * Installs packed packages in an empty project, as a new user would. Imports all of them from ES modules and from
 * CommonJS, checks every declaration with the oldest and the newest types of Node, and performs a rotation over HTTP,
 * on Node and on every other named runtime. The CommonJS programs also run in Jest and in a Node that cannot `require`
 * ES modules. Resolves to an exit code.
 */
export async function testTarballs(names, folder, runtimes = []) {
  const project = join(folder, 'project')
  mkdirSync(project)
  writeProgram(project, 'imports', createImportProgram(names))
  writeProgram(project, 'smoke', readFileSync('internal/smoke/src/index.ts', 'utf8'))
  writeFileSync(join(project, 'baton.test.cts'), readFileSync('internal/smoke/src/in-jest.ts', 'utf8'))
  writeFileSync(
    join(project, 'imports.test.cts'),
    "declare const test: Function\ntest('every package can be required', () => void require('./imports.cjs'))\n",
  )
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true }))
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS }))

  const parts = [...names.map((name) => tarballPath(name, folder)), ...listPeers(names), JEST]
  const install = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  const steps = [
    ['npm', [...install, ...parts], { ...quiet, env: createNpmEnvironment() }],
    ['node', [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.']],
    ...['node', ...runtimes].flatMap((runtime) => PROGRAMS.map((program) => getStartCommand(runtime, program))),
    ...PROGRAMS.filter((program) => program.endsWith('.cjs')).map((program) => ['node', [NO_ESM_REQUIRE, program]]),
    [
      'npx',
      ['--no-install', 'jest', '--ci', '--silent', '--testMatch=**/*.test.cjs'],
      { env: { ...createNpmEnvironment(), NODE_OPTIONS: NO_ESM_REQUIRE } },
    ],
    ...names
      .flatMap((name) => listCommands(name))
      .map((command) => ['npx', ['--no-install', command, '--help'], { ...quiet, env: createNpmEnvironment() }]),
    // New projects get these types, from which some names have been removed.
    ['npm', [...install, NEWEST_NODE_TYPES], { ...quiet, env: createNpmEnvironment() }],
    ['node', [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.']],
  ]
  for (const [command, args, options] of steps) {
    const code = await run(command, args, { cwd: project, ...options })
    if (code !== 0) return code
  }
  return 0
}

/** The version that Koa uses. Express installs a newer one with other types, which @types/koa would pick up. */
const UNTYPED = 'content-disposition@1'

/** Imports of the smoke program besides the packages and their peers. */
const SMOKE_SERVERS = ['@hono/node-server']

const NEWEST_NODE_TYPES = '@types/node@26'

const JEST = 'jest@30'

const NO_ESM_REQUIRE = '--no-experimental-require-module'

const PROGRAMS = ['imports.mjs', 'imports.cjs', 'smoke.mjs', 'smoke.cjs']

const COMPILER_OPTIONS = {
  target: 'es2022',
  module: 'nodenext',
  strict: true,
  skipLibCheck: false,
  types: ['node'],
}

function getStartCommand(runtime, program) {
  return runtime === 'deno' ? ['deno', ['run', '--allow-all', program]] : [runtime, [program]]
}

/** Writes the same text as an ES module and as CommonJS. */
function writeProgram(project, name, text) {
  for (const extension of ['mts', 'cts']) writeFileSync(join(project, `${name}.${extension}`), text)
}

function createImportProgram(names) {
  const importable = names.map(readManifest).filter((manifest) => manifest.exports?.['.'] !== undefined)
  const imports = importable.map((manifest, index) => `import * as p${index} from '${manifest.name}'\n`)
  const checks = importable.map(
    (manifest, index) =>
      `if (Object.keys(p${index}).length === 0) throw new Error('${manifest.name} exports nothing')\n`,
  )
  return [...imports, ...checks].join('')
}

/** Lists the required peers of the packages, in the versions that this repository is tested with. */
function listPeers(names) {
  const companions = names.flatMap((name) => {
    const { peerDependencies = {}, peerDependenciesMeta = {}, devDependencies = {} } = readManifest(name)
    const peers = Object.keys(peerDependencies).filter((peer) => peerDependenciesMeta[peer]?.optional !== true)
    const wanted = peers.flatMap((peer) => [peer, `@types/${peer}`]).filter((peer) => peer in devDependencies)
    return wanted.map((peer) => `${peer}@${installedVersion(join('packages', name), peer)}`)
  })
  const servers = SMOKE_SERVERS.map((name) => `${name}@${installedVersion('internal/smoke', name)}`)
  return [...new Set([...companions, ...servers, `@types/node@${installedVersion('.', '@types/node')}`, UNTYPED])]
}

function installedVersion(folder, dependency) {
  return JSON.parse(readFileSync(join(folder, 'node_modules', dependency, 'package.json'), 'utf8')).version
}

function listCommands(name) {
  return Object.keys(readManifest(name).bin ?? {})
}

/** pnpm passes its own settings to npm in the environment, and npm warns about unknown ones. */
function createNpmEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_config_/i.test(name)))
}

function readManifest(name) {
  return JSON.parse(readFileSync(join('packages', name, 'package.json'), 'utf8'))
}
