import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, relative, resolve } from 'node:path'
import { type Command, EXIT, UsageError } from '../command.js'
import { nearestName } from '@baton/core/options'
import { createFiles } from '../scaffold/files.js'
import { FRAMEWORKS, type Framework } from '../scaffold/frameworks.js'
import { STORES, type Store } from '../scaffold/stores.js'

export const init: Command = {
  name: 'init',
  description: 'Creates a TypeScript project with sign-in',
  operands: '[folder]',
  maxOperands: 1,
  options: {
    framework: { type: 'string', value: 'name', description: `${Object.keys(FRAMEWORKS).join(', ')}; default express` },
    store: { type: 'string', value: 'name', description: `${Object.keys(STORES).join(', ')}; default sqlite` },
  },
  async run({ positionals, text, context, print }) {
    const folder = resolve(context.cwd, positionals[0] ?? '.')
    const framework = parseChoice('framework', text('framework') ?? 'express', FRAMEWORKS) as Framework
    const store = parseChoice('store', text('store') ?? 'sqlite', STORES) as Store
    const files = createFiles({ name: packageName(basename(folder)), framework, store })
    const taken = Object.keys(files).filter((path) => existsSync(resolve(folder, path)))
    if (taken.length > 0)
      throw new UsageError(
        `nothing was written: ${taken.join(', ')} already ${taken.length === 1 ? 'exists' : 'exist'}; choose another folder`,
      )
    for (const [path, content] of Object.entries(files)) write(resolve(folder, path), content)
    const path = relative(context.cwd, folder)
    const enter = path === '' ? '' : `  cd ${path}\n`
    print({
      json: { folder, framework, store, files: Object.keys(files) },
      text: `Created ${Object.keys(files).length} files. Next steps:\n\n${enter}  npm install\n  npm run build\n  npm start\n`,
    })
    return EXIT.ok
  },
}

function parseChoice(option: string, value: string, choices: object): string {
  const names = Object.keys(choices)
  if (names.includes(value)) return value
  const guess = nearestName(value, names)
  throw new UsageError(
    `--${option} ${value} is not one of ${names.join(', ')}${guess === null ? '' : `; did you mean ${guess}?`}`,
  )
}

function packageName(folder: string): string {
  const name = folder
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
  return name === '' ? 'sessions' : name
}

function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true })
  // 'wx' never overwrites a file. Only the owner can read the secrets.
  writeFileSync(path, content, { flag: 'wx', mode: basename(path) === '.env' ? 0o600 : 0o644 })
}
