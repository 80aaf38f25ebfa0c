import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, relative, resolve } from 'node:path'
import { type Command, EXIT, UsageError } from '../command.js'
import { nearestName } from '@baton/core/options'
import { filesOf } from '../scaffold/files.js'
import { FRAMEWORKS, type Framework } from '../scaffold/frameworks.js'
import { STORES, type Store } from '../scaffold/stores.js'

export const init: Command = {
  name: 'init',
  about: 'Starts a project that signs people in, in TypeScript',
  operands: '[folder]',
  mostOperands: 1,
  options: {
    framework: { type: 'string', value: 'name', about: `${Object.keys(FRAMEWORKS).join(', ')}; default express` },
    store: { type: 'string', value: 'name', about: `${Object.keys(STORES).join(', ')}; default sqlite` },
  },
  async run({ positionals, text, around, print }) {
    const folder = resolve(around.cwd, positionals[0] ?? '.')
    const framework = chosen('framework', text('framework') ?? 'express', FRAMEWORKS) as Framework
    const store = chosen('store', text('store') ?? 'sqlite', STORES) as Store
    const files = filesOf({ name: packageName(basename(folder)), framework, store })
    const taken = Object.keys(files).filter((path) => existsSync(resolve(folder, path)))
    if (taken.length > 0)
      throw new UsageError(
        `nothing was written: ${taken.join(', ')} ${taken.length === 1 ? 'is' : 'are'} already there; choose another folder`,
      )
    for (const [path, content] of Object.entries(files)) write(resolve(folder, path), content)
    const place = relative(around.cwd, folder)
    const enter = place === '' ? '' : `  cd ${place}\n`
    print({
      json: { folder, framework, store, files: Object.keys(files) },
      text: `Made ${Object.keys(files).length} files. Go on with:\n\n${enter}  npm install\n  npm run build\n  npm start\n`,
    })
    return EXIT.ok
  },
}

function chosen(option: string, value: string, choices: object): string {
  const names = Object.keys(choices)
  if (names.includes(value)) return value
  const guess = nearestName(value, names)
  throw new UsageError(
    `--${option} ${value} is none of ${names.join(', ')}${guess === null ? '' : `; did you mean ${guess}?`}`,
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
  // Never over what somebody else has just put there; the secret is for its owner only.
  writeFileSync(path, content, { flag: 'wx', mode: basename(path) === '.env' ? 0o600 : 0o644 })
}
