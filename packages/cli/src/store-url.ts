import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { TokenStore } from '@baton/core'
import { type PostgresStore, postgresStore, type Queryable } from '@baton/store-postgres'
import { type IoRedisClient, type RedisStore, redisStore } from '@baton/store-redis'
import { sqliteStore } from '@baton/store-sqlite'
import { type Surroundings, UsageError } from './command.js'

/** A store that was opened for one command. */
export interface OpenStore {
  readonly store: TokenStore
  readonly kind: 'sqlite' | 'redis' | 'postgres' | 'own'
  readonly redis?: RedisStore
  readonly postgres?: PostgresStore
  /** Epoch milliseconds by the clock of the store's machine; absent where it is this one, or has none to ask. */
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
  /** Begins every key in Redis. */
  readonly prefix?: string | undefined
  /** Where the tables are in PostgreSQL. */
  readonly schema?: string | undefined
  /** Whether a SQLite file that is not there yet is made. */
  readonly mayCreate?: boolean
}

/** Opens what a URL names, through the driver that the project has: `sqlite:file`, `redis://…`, `postgres://…`. */
export async function openUrl(
  url: string,
  { prefix, schema, mayCreate = false }: StoreOptions,
  around: Surroundings,
): Promise<OpenStore> {
  const [, scheme = ''] = /^([a-z]+):/.exec(url) ?? []
  switch (scheme) {
    case 'sqlite':
      return openSqlite(resolve(around.cwd, url.slice('sqlite:'.length).replace(/^\/\//, '')), mayCreate, around)
    case 'redis':
    case 'rediss':
      return openRedis(url, prefix, around)
    case 'postgres':
    case 'postgresql':
      return openPostgres(url, schema, around)
    default:
      // Not the URL itself: there may be a password in it.
      throw new UsageError(
        `the store is given as sqlite:file.db, redis://… or postgres://…, not as ${scheme === '' ? 'something else' : `${scheme}:`}`,
      )
  }
}

async function openSqlite(path: string, mayCreate: boolean, around: Surroundings): Promise<OpenStore> {
  if (!mayCreate && !existsSync(path)) throw new UsageError(`there is no file ${path}; baton migrate makes it`)
  const driver = await driverIn(around.cwd, 'better-sqlite3')
  if (driver === null) throw noDriver('better-sqlite3')
  const db = new (driver['default'] as new (path: string) => Sqlite)(path)
  return {
    store: sqliteStore(db),
    kind: 'sqlite',
    async close() {
      db.close()
    },
  }
}

async function openRedis(url: string, prefix: string | undefined, around: Surroundings): Promise<OpenStore> {
  const driver = await driverIn(around.cwd, 'ioredis')
  if (driver === null) throw noDriver('ioredis')
  // Connected at once or not at all: a person waits.
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

async function openPostgres(url: string, schema: string | undefined, around: Surroundings): Promise<OpenStore> {
  const driver = await driverIn(around.cwd, 'pg')
  if (driver === null) throw noDriver('pg')
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

/** The project's own driver, which is the one that its app runs with; else one that was installed with this program. */
async function driverIn(folder: string, name: string): Promise<Record<string, unknown> | null> {
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

function noDriver(name: string): UsageError {
  return new UsageError(`the driver ${name} is not installed here; run: npm install ${name}`)
}
