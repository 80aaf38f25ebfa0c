import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bootstrap, run } from './bootstrap.mjs'
import { hasSubpaths, pack, publishedPackages, tarballPath, testTarballs } from './tarballs.mjs'

await bootstrap()

const folder = mkdtempSync(join(tmpdir(), 'baton-check-'))
const SOURCES = ['packages', 'internal', 'examples']
const published = publishedPackages()
const steps = [
  ['format', () => run('prettier', ['--check', '--log-level=warn', '.'])],
  ['lint', () => run('eslint', ['.', '--max-warnings=0'])],
  ['types', () => run('tsc', ['--noEmit'])],
  ['types of client-react', () => run('tsc', ['-p', 'examples/client-react'])],
  ['types of nextjs', () => run('tsc', ['-p', 'examples/nextjs'])],
  ['option tables', () => run('node', ['scripts/option-tables.mjs'])],
  ['words', () => run('node', ['scripts/check-words.mjs'])],
  ['commit messages', () => run('node', ['scripts/check-commits.mjs'])],
  ['workflows', () => run('node', ['scripts/check-workflows.mjs'])],
  ['conformance', () => run('node', ['scripts/conformance.mjs', '--check'])],
  ['imports', () => run('depcruise', ['--config', '.dependency-cruiser.mjs', ...SOURCES])],
  ['unused code and dependencies', () => run('knip', [])],
  ['build', () => run('turbo', ['run', 'build', '--output-logs=errors-only'])],
  ['programs in the documentation and in doc comments', () => run('node', ['scripts/check-programs.mjs'])],
  ['documentation', () => run('pnpm', ['docs:build'])],
  ...published.map((name) => [`package shape of ${name}`, () => checkShape(name)]),
  ['size of the client in a page', () => run('pnpm', ['--dir', 'packages/client', 'exec', 'size-limit'])],
  ['the packages in an empty project', () => testTarballs(published, folder)],
]

const results = []
for (const [name, step] of steps) {
  console.log(`\n> ${name}`)
  const startedAt = performance.now()
  const ok = (await step()) === 0
  results.push({ name, ok, seconds: (performance.now() - startedAt) / 1000 })
}
rmSync(folder, { recursive: true })

console.log()
for (const { name, ok, seconds } of results) {
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${seconds.toFixed(1).padStart(5)} s  ${name}`)
}
const failed = results.filter((result) => !result.ok).length
console.log(`${results.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

/** Checks the tarball to be published, not the directory. Resolvers that ignore `exports` cannot find subpaths. */
async function checkShape(name) {
  const packed = await pack(name, folder)
  if (packed !== 0) return packed
  const tarball = tarballPath(name, folder)
  const codes = [
    await run('publint', ['--strict', tarball]),
    await run('attw', ['--quiet', ...(hasSubpaths(name) ? ['--profile', 'node16'] : []), tarball]),
  ]
  return Math.max(...codes)
}
