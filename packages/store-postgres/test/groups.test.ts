import { type PostgresServer, startPostgres } from '@baton/test-servers'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { PostgresStore } from '../src/index.js'
import { familyOf, freshSchema, freshStore, LONG, NOW, QUICK, REVOCATION, rotationOf, urlWith } from './fresh.js'

const NAMES = ['a', 'b', 'c', 'd', 'e']

let server: PostgresServer
let pool: pg.Pool

beforeAll(async () => {
  server = await startPostgres()
  pool = server.pool({ connectionString: urlWith(server.url, QUICK) })
}, LONG)
afterAll(() => server.stop())

describe.each([false, true])('rotations that wait together, with named statements: %s', (namedStatements) => {
  let schema: string
  let store: PostgresStore
  const records = NAMES.map((name) => familyOf(name, { subject: name }))

  beforeEach(async () => {
    schema = freshSchema()
    store = await freshStore(pool, { schema, namedStatements })
    await Promise.all(records.map((record) => store.create(record, NOW)))
  })

  const rotateAll = () => records.map((record) => store.rotate(rotationOf(record)))
  const generations = () => Promise.all(records.map(async ({ id }) => (await store.find(id))?.current.generation))

  test('each gets its own record, with all that it was made of', async () => {
    const marked = records.map((record, index) => {
      const command = rotationOf(record, NOW + index)
      return { ...command, next: { ...command.next, retryKey: index === 2 ? null : `key of ${record.grant.subject}` } }
    })
    const rotated = await Promise.all(marked.map((command) => store.rotate(command)))
    expect(rotated).toEqual(
      records.map((record, index) => ({
        ...record,
        current: marked[index]!.next,
        expiresAt: NOW + index + record.lifetime.idleMs!,
      })),
    )
    expect(await Promise.all(records.map(({ id }) => store.find(id)))).toEqual(rotated)
  })

  test('who lost, has ended or does not exist hears what stands, and the others rotate', async () => {
    const [lost, revoked, expired, living] = records
    const winner = await store.rotate(rotationOf(lost!))
    const dead = await store.revoke(revoked!.id, REVOCATION)
    const answers = await Promise.all([
      store.rotate({ ...rotationOf(lost!), next: { ...rotationOf(lost!).next, nonce: 'late' } }),
      store.rotate(rotationOf(revoked!)),
      store.rotate(rotationOf(expired!, expired!.expiresAt)),
      store.rotate(rotationOf(familyOf('nobody'))),
      store.rotate(rotationOf(living!)),
    ])
    expect(answers).toEqual([
      winner,
      dead,
      expired,
      null,
      expect.objectContaining({ id: living!.id, current: expect.objectContaining({ generation: 1 }) }),
    ])
  })

  test('one that fails does not take the others with it, and hears why', async () => {
    await pool.query(`
      CREATE FUNCTION "${schema}".reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not c'; END $$;
      CREATE TRIGGER reject BEFORE UPDATE ON "${schema}".families
        FOR EACH ROW WHEN (NEW.subject = 'c') EXECUTE FUNCTION "${schema}".reject();
    `)
    const settled = await Promise.allSettled(rotateAll())
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    expect(settled[2]).toMatchObject({ reason: { message: 'not c' } })
    expect(await generations()).toEqual([1, 1, 0, 1, 1])
  })

  test('waits only for the write whose family is locked by another connection', async () => {
    const client = await pool.connect()
    await client.query('BEGIN')
    await store.within(client).revoke(records[2]!.id, REVOCATION)
    const rotations = rotateAll()
    const [late] = rotations.splice(2, 1)
    expect(await Promise.all(rotations)).toMatchObject(rotations.map(() => ({ current: { generation: 1 } })))
    await client.query('COMMIT')
    client.release()
    expect(await late).toMatchObject({ current: { generation: 0 }, revocation: REVOCATION })
  })

  test('more than fit into one statement go into the next', async () => {
    const many = Array.from({ length: 300 }, (_, index) => familyOf(`many ${String(index)}`))
    await Promise.all(many.map((record) => store.create(record, NOW)))
    const rotated = await Promise.all(many.map((record) => store.rotate(rotationOf(record))))
    expect(rotated).toMatchObject(many.map(({ id }) => ({ id, current: { generation: 1 } })))
  })
})
