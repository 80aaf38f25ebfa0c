import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A program that tests need: the one that `env` names, else the first of `names` on PATH. */
export interface Program {
  readonly env: string
  readonly names: readonly string[]
  /** For those who have none. */
  readonly installation: string
}

/** The path of the program. Throws, saying what to install, where there is none. */
export function findProgram({ env, names, installation }: Program): string {
  const named = process.env[env]
  if (named) return named
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
  if (found === undefined)
    throw new Error(`None of ${names.join(', ')} is on PATH. Install one (${installation}), or name one in ${env}.`)
  return found
}

/** A Chromium. Throws where there is none. */
export function chromiumPath(): string {
  return findProgram({
    env: 'CHROMIUM_PATH',
    names: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    installation: 'apt-get install chromium',
  })
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
