import { modelCases } from '@baton/store-testkit'
import { type PostgresServer, startPostgres } from '@baton/test-servers'
import { afterAll, beforeAll, test } from 'vitest'
import { freshStore, QUICK, urlWith } from './fresh.js'

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server.stop())

const open = async () => {
  const pool = server.pool({ connectionString: urlWith(server.url, QUICK) })
  return { store: await freshStore(pool), close: () => pool.end() }
}
for (const { name, run } of modelCases(open)) test(name, run)
