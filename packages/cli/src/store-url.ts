import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { TokenStore } from '@baton/core'
import { type PostgresStore, postgresStore, type Queryable } from '@baton/store-postgres'
import { type IoRedisClient, type RedisStore, redisStore } from '@baton/store-redis'
import { sqliteStore } from '@baton/store-sqlite'
import { type CommandContext, UsageError } from './command.js'

/** An open store. */
export interface OpenStore {
  readonly store: TokenStore
  readonly kind: 'sqlite' | 'redis' | 'postgres' | 'custom'
  readonly redis?: RedisStore
  readonly postgres?: PostgresStore
  /** Returns the time of the store's clock in epoch milliseconds; missing if the store uses the clock of this process. */
  readonly clock?: () => Promise<number>
  close(): Promise<void>
}

interface Redis extends IoRedisClient {
  connect(): Promise<unknown>
  time(): Promise<readonly (string | number)[]>
  on(event: 'error', listener: () => void): unknown
  disconnect(): void
}

interface Pool extends Queryable {
  on(event: 'error', listener: () => void): unknown
  end(): Promise<void>
}

interface Sqlite {
  exec(sql: string): unknown
  prepare(sql: string): { all(parameters: object): unknown[] }
  close(): unknown
}

export interface StoreOptions {
  /** The prefix of the keys in Redis. */
  readonly prefix?: string | undefined
  /** The schema of the tables in PostgreSQL. */
  readonly schema?: string | undefined
  /** Creates a missing SQLite file. Default false. */
  readonly mayCreate?: boolean
}

/** Opens the store of a URL (`sqlite:file`, `redis://…` or `postgres://…`) with the driver of the project. Throws `UsageError`. */
export async function openUrl(
  url: string,
  { prefix, schema, mayCreate = false }: StoreOptions,
  context: CommandContext,
): Promise<OpenStore> {
  const [, scheme = ''] = /^([a-z]+):/.exec(url) ?? []
  switch (scheme) {
    case 'sqlite':
      return openSqlite(resolve(context.cwd, url.slice('sqlite:'.length).replace(/^\/\//, '')), mayCreate, context)
    case 'redis':
    case 'rediss':
      return openRedis(url, prefix, context)
    case 'postgres':
    case 'postgresql':
      return openPostgres(url, schema, context)
    default:
      // Without the URL, which may contain a password.
      throw new UsageError(
        `the store must be sqlite:file.db, redis://… or postgres://…, got ${scheme === '' ? 'another text' : `${scheme}:`}`,
      )
  }
}

async function openSqlite(path: string, mayCreate: boolean, context: CommandContext): Promise<OpenStore> {
  if (!mayCreate && !existsSync(path))
    throw new UsageError(`the file ${path} does not exist; create it with: baton migrate`)
  const driver = await importDriver(context.cwd, 'better-sqlite3')
  if (driver === null) throw missingDriver('better-sqlite3')
  const db = new (driver['default'] as new (path: string) => Sqlite)(path)
  return {
    store: sqliteStore(db),
    kind: 'sqlite',
    async close() {
      db.close()
    },
  }
}

async function openRedis(url: string, prefix: string | undefined, context: CommandContext): Promise<OpenStore> {
  const driver = await importDriver(context.cwd, 'ioredis')
  if (driver === null) throw missingDriver('ioredis')
  // One attempt to connect: a user is waiting.
  const settings = { lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null }
  const client = new (driver['Redis'] as new (url: string, settings: object) => Redis)(url, settings)
  client.on('error', () => undefined)
  await client.connect()
  const store = redisStore(client, prefix === undefined ? {} : { prefix })
  return {
    store,
    kind: 'redis',
    redis: store,
    async clock() {
      const [seconds, microseconds] = await client.time()
      return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
    },
    async close() {
      client.disconnect()
    },
  }
}

async function openPostgres(url: string, schema: string | undefined, context: CommandContext): Promise<OpenStore> {
  const driver = await importDriver(context.cwd, 'pg')
  if (driver === null) throw missingDriver('pg')
  const settings = { connectionString: url, max: 2, connectionTimeoutMillis: 5000 }
  const pool = new (driver['Pool'] as new (settings: object) => Pool)(settings)
  pool.on('error', () => undefined)
  const store = postgresStore(pool, schema === undefined ? {} : { schema })
  return {
    store,
    kind: 'postgres',
    postgres: store,
    async clock() {
      const { rows } = await pool.query({
        text: 'SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now',
        values: [],
      })
      const [row] = rows as { now: string }[]
      return Number(row?.now)
    },
    close: () => pool.end(),
  }
}

/** Imports the driver of the project, or the one installed with this program; null if there is neither. */
async function importDriver(folder: string, name: string): Promise<Record<string, unknown> | null> {
  const { resolve: pathOf } = createRequire(resolve(folder, 'package.json'))
  for (const find of [() => pathToFileURL(pathOf(name)).href, () => name]) {
    try {
      const loaded = (await import(find())) as Record<string, unknown>
      const inner = loaded['default']
      return typeof inner === 'object' && inner !== null ? { ...inner, ...loaded } : loaded
    } catch (failure) {
      const { code } = failure as { code?: unknown }
      if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_MODULE_NOT_FOUND') throw failure
    }
  }
  return null
}

function missingDriver(name: string): UsageError {
  return new UsageError(`the driver ${name} is not installed; run: npm install ${name}`)
}
