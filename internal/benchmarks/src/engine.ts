import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import type { Engines } from './messages.js'
import type { Row } from './row.js'

/** A connection to the empty session storage of one row. It counts the commands. */
export type Engine =
  | (Counted & { readonly kind: 'memory' })
  | (Counted & { readonly kind: 'sqlite'; readonly db: Database.Database })
  | (Counted & { readonly kind: 'redis'; readonly client: Redis })
  | (Counted & { readonly kind: 'cluster'; readonly client: Cluster })
  | (Counted & { readonly kind: 'postgres'; readonly pool: pg.Pool })

interface Counted {
  /** The number of commands or statements. Those inside a script or a trigger do not count. */
  commands(): number
  /** The size of all data in bytes. */
  stored(): Promise<number>
}

const MAX_POSTGRES_CONNECTIONS = 10

export async function openEngine({ store }: Row, engines: Engines): Promise<Engine> {
  switch (store) {
    case 'sqlite':
      return openSqlite()
    case 'redis':
      return openRedis(requireEngine(engines.redis))
    case 'cluster':
      return openCluster(requireEngine(engines.cluster))
    case 'postgres':
      return openPostgres(requireEngine(engines.postgres))
    case 'memory':
    case null:
      return { kind: 'memory', commands: () => 0, stored: async () => heapUsed() }
  }
}

function requireEngine<Value>(engine: Value | null): Value {
  if (engine === null) throw new Error('the engine of this row was not started')
  return engine
}

function heapUsed(): number {
  if (globalThis.gc === undefined) throw new Error('start this process with --expose-gc')
  for (let round = 0; round < 4; round += 1) globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function openSqlite(): Engine {
  const folder = mkdtempSync(join(tmpdir(), 'baton-bench-'))
  let commands = 0
  const db = new Database(join(folder, 'bench.db'))
  const prepare = db.prepare.bind(db)
  process.once('exit', () => {
    db.close()
    rmSync(folder, { recursive: true })
  })
  // Each execution of a statement counts, by any method.
  db.prepare = ((sql: string) => {
    const statement = prepare(sql)
    for (const method of ['run', 'get', 'all'] as const) {
      const run = statement[method].bind(statement) as (...parameters: unknown[]) => never
      statement[method] = (...parameters: unknown[]) => {
        commands += 1
        return run(...parameters)
      }
    }
    return statement
  }) as typeof db.prepare
  return {
    kind: 'sqlite',
    db,
    commands: () => commands,
    async stored() {
      db.pragma('wal_checkpoint(TRUNCATE)')
      const read = (name: string) => Number(db.pragma(name, { simple: true }))
      return (read('page_count') - read('freelist_count')) * read('page_size')
    },
  }
}

async function openRedis({ host, port }: { host: string; port: number }): Promise<Engine> {
  const client = new Redis({ host, port })
  await client.flushall()
  return { kind: 'redis', client, commands: countCommands(client), stored: () => measureBytes(client) }
}

async function openCluster(nodes: readonly { host: string; port: number }[]): Promise<Engine> {
  const client = new Cluster([...nodes])
  await new Promise((resolve) => client.once('ready', resolve))
  await Promise.all(client.nodes('master').map((node) => node.flushall()))
  const stored = async () => {
    const bytes = await Promise.all(client.nodes('master').map(measureBytes))
    return bytes.reduce((sum, some) => sum + some, 0)
  }
  return { kind: 'cluster', client, commands: countCommands(client), stored }
}

function countCommands(client: Redis | Cluster): () => number {
  let commands = 0
  const send = client.sendCommand.bind(client) as (...args: unknown[]) => unknown
  client.sendCommand = (...args: unknown[]) => {
    commands += 1
    return send(...args)
  }
  return () => commands
}

async function measureBytes(client: Redis): Promise<number> {
  let sum = 0
  for await (const keys of client.scanStream({ count: 1000 })) {
    const pipeline = client.pipeline()
    for (const key of keys as string[]) pipeline.memory('USAGE', key, 'SAMPLES', 0)
    for (const [error, bytes] of (await pipeline.exec()) ?? []) {
      if (error !== null) throw error
      sum += Number(bytes)
    }
  }
  return sum
}

async function openPostgres(connectionString: string): Promise<Engine> {
  const pool = new pg.Pool({ connectionString, max: MAX_POSTGRES_CONNECTIONS })
  let commands = 0
  pool.on('error', () => undefined)
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown
    client.query = ((...args: unknown[]) => {
      commands += 1
      return query(...args)
    }) as typeof client.query
  })
  await pool.query('DROP SCHEMA IF EXISTS baton CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  return {
    kind: 'postgres',
    pool,
    commands: () => commands,
    async stored() {
      await pool.query('VACUUM')
      const { rows } = await pool.query<{ bytes: string }>(
        `SELECT coalesce(sum(pg_total_relation_size(relid)), 0) AS bytes FROM pg_stat_user_tables`,
      )
      return Number(rows[0]?.bytes)
    },
  }
}
