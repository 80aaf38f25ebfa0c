import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import BetterSqlite3 from 'better-sqlite3'
import type { SqliteDatabase } from '../src/index.js'

export interface Connection extends SqliteDatabase {
  close(): unknown
  function(name: string, run: () => number): unknown
}

export interface Driver {
  readonly name: string
  open(path: string, options?: { readOnly?: boolean }): Connection
  inMemory(): Connection
  /** In a file that no other test has. */
  onDisk(): Connection
}

interface NodeSqlite {
  readonly DatabaseSync: new (path: string, options?: { readOnly?: boolean }) => Connection
}

const open = new Set<Connection>()
const folders = new Set<string>()

export function freshPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'baton-sqlite-'))
  folders.add(folder)
  return join(folder, 'app.db')
}

/** Closes one connection before the end of the test. */
export function close(connection: Connection): void {
  open.delete(connection)
  connection.close()
}

/** Closes every connection of the test and removes its files. */
export function closeAll(): void {
  for (const connection of open) close(connection)
  for (const folder of folders) rmSync(folder, { recursive: true })
  folders.clear()
}

function driverOf(name: string, connect: (path: string, readOnly: boolean) => Connection): Driver {
  const connected: Driver['open'] = (path, { readOnly = false } = {}) => {
    const connection = connect(path, readOnly)
    open.add(connection)
    return connection
  }
  return { name, open: connected, inMemory: () => connected(':memory:'), onDisk: () => connected(freshPath()) }
}

/** Without a busy timeout, as with node:sqlite: the store must set it. */
const betterSqlite3 = driverOf('better-sqlite3', (path, readonly) => new BetterSqlite3(path, { readonly, timeout: 0 }))

/** Absent before Node 22.5. */
const nodeSqlite = process.getBuiltinModule('node:sqlite') as NodeSqlite | undefined

export const drivers: readonly Driver[] =
  nodeSqlite === undefined
    ? [betterSqlite3]
    : [betterSqlite3, driverOf('node:sqlite', (path, readOnly) => new nodeSqlite.DatabaseSync(path, { readOnly }))]
