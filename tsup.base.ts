import { copyFileSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { defineConfig, type Options } from 'tsup'

type Plugins = NonNullable<Options['esbuildPlugins']>

const common = {
  target: 'node20',
  platform: 'node',
  // The root tsconfig maps packages to sources; a build must see what users will see.
  tsconfig: '../../tsconfig.build.json',
  removeNodeProtocol: false,
  splitting: false,
  sourcemap: true,
  clean: true,
  silent: true,
} as const

/** `false` builds JavaScript only. */
const withTypes = process.env['BATON_BUILD_TYPES'] !== 'false'

function declarations(compilerOptions: Record<string, unknown> = {}, entry?: readonly string[]) {
  const entries = entry === undefined ? {} : { entry: [...entry] }
  // tsup sets `baseUrl`, which TypeScript 6 calls deprecated.
  return withTypes && { ...entries, compilerOptions: { ignoreDeprecations: '6.0', ...compilerOptions } }
}

/**
 * A published package with subpaths: `src/store.ts` is `name/store`. Each subpath is bundled by itself, except for the modules that
 * match `shared`, which it takes from the main entry, so that each error class exists once. The declarations are built together, so
 * that each type exists once: branded types that are declared twice are not assignable to each other.
 */
const withSubpaths = (subpaths: readonly string[], options: Options, shared: RegExp) =>
  defineConfig([
    {
      ...common,
      ...options,
      entry: ['src/index.ts'],
      format: ['esm', 'cjs'],
      clean: subpaths.map((name) => `!${name}.*`),
      dts: declarations({}, ['src/index.ts', ...subpaths.map((name) => `src/${name}.ts`)]),
    },
    {
      ...common,
      ...options,
      entry: subpaths.map((name) => `src/${name}.ts`),
      format: ['esm', 'cjs'],
      clean: false,
      esbuildPlugins: [fromMainEntry(shared)],
    },
  ])

export const libraryWithSubpaths = (subpaths: readonly string[]) => withSubpaths(subpaths, {}, /\/errors\.js$/)

function fromMainEntry(modules: RegExp): Plugins[number] {
  return {
    name: 'from-main-entry',
    setup(build) {
      const path = build.initialOptions.format === 'cjs' ? './index.cjs' : './index.js'
      build.onResolve({ filter: modules }, () => ({ path, external: true }))
    },
  }
}

/** A published package: ESM and CommonJS, each with its own declarations. `plugins` are for what is no TypeScript. */
export const libraryWith = (plugins: Plugins) =>
  defineConfig({
    ...common,
    entry: ['src/index.ts'],
    format: ['esm', 'cjs'],
    esbuildPlugins: plugins,
    dts: declarations(),
  })

export const library = libraryWith([])

/**
 * A published package whose dependencies `names` are ES modules only. They are bundled into the CommonJS build, because `require` of an
 * ES module fails in Jest and with `--no-experimental-require-module`. The ESM build imports them.
 */
export const libraryWithEsmOnly = (names: readonly string[]) =>
  defineConfig({
    ...common,
    entry: ['src/index.ts'],
    format: ['esm', 'cjs'],
    noExternal: [...names],
    esbuildPlugins: [bundledInCommonJs(names)],
    dts: declarations(),
  })

function bundledInCommonJs(names: readonly string[]): Plugins[number] {
  return {
    name: 'bundled-in-commonjs',
    setup(build) {
      const filter = new RegExp(`^(${names.join('|')})$`)
      if (build.initialOptions.format !== 'cjs') build.onResolve({ filter }, ({ path }) => ({ path, external: true }))
      else build.onEnd(() => names.forEach(copyLicense))
    },
  }
}

/** The licence of a bundled dependency has to come with its code. */
function copyLicense(name: string): void {
  const manifest = createRequire(join(process.cwd(), 'package.json')).resolve(`${name}/package.json`)
  mkdirSync('dist', { recursive: true })
  copyFileSync(join(dirname(manifest), 'LICENSE.md'), `dist/${name}.LICENSE.md`)
}

/** A published package with subpaths for browsers as well. */
export const webLibraryWithSubpaths = (subpaths: readonly string[]) =>
  withSubpaths(
    subpaths,
    // Browsers resolve no `node:` modules; only subpaths for Node import them. The targets are the oldest supported browsers.
    { platform: 'neutral', target: ['chrome91', 'firefox79', 'safari14.1'], external: [/^node:/] },
    /\/(errors|environment|options)\.js$/,
  )

/** A private library: ESM only. */
export const internal = defineConfig({
  ...common,
  entry: ['src/index.ts'],
  format: ['esm'],
  dts: declarations(),
})

/** A private program: one ESM file to start with `node dist/main.js`. */
export const program = defineConfig({
  ...common,
  entry: ['src/main.ts'],
  format: ['esm'],
})
