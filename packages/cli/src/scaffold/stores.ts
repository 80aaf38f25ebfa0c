export type Store = 'sqlite' | 'redis' | 'postgres' | 'memory'

interface StorePart {
  readonly title: string
  readonly source: string
  /** Lines of the .env file; BATON_STORE is what the command line reads. */
  readonly env: string
  readonly needs: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly types: Readonly<Record<string, string>>
}

export const STORES: Readonly<Record<Store, StorePart>> = {
  sqlite: {
    title: 'a SQLite file',
    source: `import { sqliteStore } from '@baton/store-sqlite'
import Database from 'better-sqlite3'

export const store = sqliteStore(new Database(process.env.DATABASE ?? 'sessions.db'))
`,
    env: 'DATABASE=sessions.db\nBATON_STORE=sqlite:sessions.db\n',
    needs: '',
    dependencies: { 'better-sqlite3': '>=12 <14' },
    types: { '@types/better-sqlite3': '^9.6.0' },
  },
  redis: {
    title: 'Redis',
    source: `import { redisStore } from '@baton/store-redis'
import { Redis } from 'ioredis'

// A call fails soon when Redis is away: the answer is 503, and the client's to repeat.
const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', { maxRetriesPerRequest: 1 })
redis.on('error', (error) => console.error('redis:', error.message))

export const store = redisStore(redis)
`,
    env: 'REDIS_URL=redis://127.0.0.1:6379\nBATON_STORE=redis://127.0.0.1:6379\n',
    needs: '\nStart a Redis server and set its address as `REDIS_URL` in `.env`.\n',
    dependencies: { ioredis: '^6.0.0' },
    types: {},
  },
  postgres: {
    title: 'PostgreSQL',
    source: `import { postgresStore } from '@baton/store-postgres'
import { Pool } from 'pg'

const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 3000 })
pool.on('error', (error) => console.error('postgres:', error.message))

export const store = postgresStore(pool)
await store.migrate()
`,
    env: 'DATABASE_URL=postgres://127.0.0.1:5432/postgres\nBATON_STORE=postgres://127.0.0.1:5432/postgres\n',
    needs: '\nStart a PostgreSQL server and set its address as `DATABASE_URL` in `.env`.\n',
    dependencies: { pg: '^8.23.0' },
    types: { '@types/pg': '^8.23.0' },
  },
  memory: {
    title: 'memory: they are gone when it stops',
    source: `import { memoryStore } from '@baton/store-memory'

export const store = memoryStore()
`,
    env: '',
    needs: '',
    dependencies: {},
    types: {},
  },
}
