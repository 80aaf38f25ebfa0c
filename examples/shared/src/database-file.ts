import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { exitWithProblem, readSetting } from './settings.js'

/** The first bytes of every SQLite file (https://sqlite.org/fileformat.html#the_database_header). */
const HEADER = 'SQLite format 3\0'

/** Returns the file in `DATABASE`, or else the default. Exits unless SQLite can open or create it. */
export function databaseFile(defaultValue: URL): string {
  const file = resolve(readSetting('DATABASE') ?? fileURLToPath(defaultValue))
  const problem = findProblem(file)
  return problem === null ? file : exitWithProblem('DATABASE', `${JSON.stringify(file)} ${problem}`)
}

function findProblem(file: string): string | null {
  try {
    const stats = statSync(file, { throwIfNoEntry: false })
    // SQLite creates other files beside the database.
    accessSync(dirname(file), constants.W_OK)
    if (stats === undefined) return null
    if (!stats.isFile()) return 'is not a file'
    accessSync(file, constants.R_OK | constants.W_OK)
    return stats.size === 0 || readHeader(file) === HEADER ? null : 'is not a SQLite database'
  } catch (error) {
    return `cannot be opened (${error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'})`
  }
}

function readHeader(file: string): string {
  const descriptor = openSync(file, 'r')
  const bytes = Buffer.alloc(HEADER.length)
  readSync(descriptor, bytes, 0, bytes.length, 0)
  closeSync(descriptor)
  return bytes.toString('latin1')
}
