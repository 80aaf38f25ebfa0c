import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { attempt, bootstrap, fail, root, run } from './bootstrap.mjs'
import { pack, publishedPackages, testTarballs } from './tarballs.mjs'

const { dryRun, runtimes } = readArguments(process.argv.slice(2))

await bootstrap()
const published = publishedPackages()
const folder = mkdtempSync(join(tmpdir(), 'baton-release-'))
await must('The build failed.', run('turbo', ['run', 'build', '--output-logs=errors-only']))
for (const name of published) await must(`${name} could not be packed.`, pack(name, folder))
await must(`The packages do not work in the project in ${folder}.`, testTarballs(published, folder, runtimes))
console.log(`${published.length} packages work in an empty project`)
if (dryRun) await showVersions()
rmSync(folder, { recursive: true })
if (!dryRun) process.exitCode = await run('changeset', ['publish'])

function readArguments(args) {
  const options = { dry: false, with: '' }
  for (const argument of args.filter((each) => each !== '--')) {
    const [, name, value] = /^--(dry-run|with)(?:=(.+))?$/.exec(argument) ?? []
    if (name === 'dry-run' && value === undefined) options.dry = true
    else if (name === 'with' && value !== undefined) options.with = value
    else fail(`${argument} is unknown. Use: pnpm release [--dry-run] [--with=bun,deno]`)
  }
  return { dryRun: options.dry, runtimes: options.with.split(',').filter((runtime) => runtime !== '') }
}

async function must(message, step) {
  if ((await step) !== 0) fail(message)
}

/** Applies the pending changesets to a copy and prints the changelogs. */
async function showVersions() {
  const copy = join(folder, 'copy')
  const wanted = ['package.json', '*/package.json', '*/CHANGELOG.md', '.changeset', 'pnpm-workspace.yaml']
  const { output } = attempt('git', ['ls-files', '--cached', '--others', '--exclude-standard', ...wanted])
  for (const file of output.split('\n')) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(root, file), join(copy, file))
  }
  await must(
    'changeset version failed.',
    run('changeset', ['version'], { cwd: copy, stdio: ['ignore', 'ignore', 'inherit'] }),
  )
  for (const name of published) {
    const { version } = JSON.parse(readFileSync(join(copy, 'packages', name, 'package.json'), 'utf8'))
    const changelog = readFileSync(join(copy, 'packages', name, 'CHANGELOG.md'), 'utf8')
    if (!changelog.includes(`\n## ${version}\n`)) fail(`The changelog of ${name} has no entry for ${version}.`)
    console.log(`\n${changelog.trim()}`)
  }
}
