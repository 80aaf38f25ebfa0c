import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { refuse, setting } from './settings.js'

/** How every SQLite file begins (https://sqlite.org/fileformat.html#the_database_header). */
const HEADER = 'SQLite format 3\0'

/** The file that `DATABASE` names, or else `byDefault`. Ends the process unless SQLite can use it or make it. */
export function databaseFile(byDefault: URL): string {
  const file = resolve(setting('DATABASE') ?? fileURLToPath(byDefault))
  const problem = problemOf(file)
  return problem === null ? file : refuse('DATABASE', `${JSON.stringify(file)} ${problem}`)
}

function problemOf(file: string): string | null {
  try {
    const stats = statSync(file, { throwIfNoEntry: false })
    // SQLite also makes files beside the database.
    accessSync(dirname(file), constants.W_OK)
    if (stats === undefined) return null
    if (!stats.isFile()) return 'is not a file'
    accessSync(file, constants.R_OK | constants.W_OK)
    return stats.size === 0 || beginningOf(file) === HEADER ? null : 'is not a SQLite database'
  } catch (error) {
    return `cannot be opened (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'})`
  }
}

function beginningOf(file: string): string {
  const descriptor = openSync(file, 'r')
  const bytes = Buffer.alloc(HEADER.length)
  readSync(descriptor, bytes, 0, bytes.length, 0)
  closeSync(descriptor)
  return bytes.toString('latin1')
}
