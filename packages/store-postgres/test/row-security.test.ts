import { type PostgresServer, startPostgres } from '@baton/test-servers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { postgresStore } from '../src/index.js'
import { familyOf, freshSchema, LONG, NOW, REVOCATION, rotationOf } from './fresh.js'

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres()
}, LONG)
afterAll(() => server.stop())

test('reports a server that silently changes nothing, as with row-level security, after a limited number of attempts', async () => {
  const schema = freshSchema()
  const owner = server.pool()
  await postgresStore(owner, { schema }).migrate()
  await postgresStore(owner, { schema }).create(familyOf('a'), NOW)
  const role = `role_${schema}`
  await owner.query(`CREATE ROLE ${role}; GRANT USAGE ON SCHEMA ${schema} TO ${role};
    GRANT ALL ON ALL TABLES IN SCHEMA ${schema} TO ${role};
    ALTER TABLE ${schema}.families ENABLE ROW LEVEL SECURITY;
    CREATE POLICY readable ON ${schema}.families FOR SELECT USING (true)`)
  const client = await server.pool().connect()
  try {
    await client.query(`SET ROLE ${role}`)
    const store = postgresStore(client, { schema })
    const silent = /does not change it.*row-level security/
    await expect(store.rotate(rotationOf(familyOf('a')))).rejects.toThrow(silent)
    await expect(store.revoke(familyOf('a').id, REVOCATION)).rejects.toThrow(silent)
  } finally {
    client.release(true)
    await owner.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  }
})
