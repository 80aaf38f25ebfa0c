import { serveTokens } from '@baton/test-processes'
import pg from 'pg'
import { postgresStore } from '../src/index.js'
import { tokensOn } from './fresh.js'

export interface Settings {
  readonly url: string
  readonly schema: string
}

const pools = new Map<string, pg.Pool>()

serveTokens(async ({ url, schema }: Settings) => {
  const pool = pools.get(url) ?? new pg.Pool({ connectionString: url })
  pools.set(url, pool)
  const store = postgresStore(pool, { schema })
  await store.migrate()
  return { store, tokens: tokensOn(store) }
})
