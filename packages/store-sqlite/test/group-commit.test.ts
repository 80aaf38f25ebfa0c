import { setImmediate } from 'node:timers/promises'
import { createRefreshTokens } from '@baton/core'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type SqliteDatabase, sqliteStore } from '../src/index.js'
import { closeAll, type Connection, drivers, freshPath } from './drivers.js'

const SECRET = 'a secret of at least thirty-two bytes'
const NAMES = ['a', 'b', 'c', 'd', 'e']
const NOW = Date.UTC(2027, 0, 1)
const EACH_WRITES = NAMES.map(() => 'write')
const EACH_IS_ANSWERED = NAMES.map(() => 'answered')

afterEach(closeAll)

describe.each(drivers.map((driver) => [driver.name, driver] as const))('%s', (_name, driver) => {
  test('writes that wait together share one commit, and no call returns before it', async () => {
    const { db, log } = watched(driver.onDisk())
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
    log.length = 0
    const issued = await Promise.all(NAMES.map((subject) => logged(log, tokens.issue({ subject }))))
    expect(log).toEqual(['BEGIN IMMEDIATE', ...EACH_WRITES, 'COMMIT', ...EACH_IS_ANSWERED])
    log.length = 0
    const answers = await Promise.all(issued.map(({ refreshToken }) => logged(log, tokens.rotate({ refreshToken }))))
    expect(log).toEqual(['BEGIN IMMEDIATE', ...EACH_WRITES, 'COMMIT', ...EACH_IS_ANSWERED])
    expect(answers).toMatchObject(NAMES.map((subject) => ({ outcome: 'rotated', family: { subject, generation: 1 } })))
  })

  test('one that comes alone has no transaction around it', async () => {
    const { db, log } = watched(driver.onDisk())
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
    log.length = 0
    const issuing = tokens.issue({ subject: 'a' })
    await setImmediate()
    expect(log).toEqual(['write'])
    await issuing
  })

  test('all are answered although an app under test has replaced its timers', async () => {
    const tokens = createRefreshTokens({ store: sqliteStore(driver.inMemory()), secrets: [SECRET] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    vi.useFakeTimers()
    await tokens.issue({ subject: 'a' })
    await Promise.all(NAMES.map((subject) => tokens.issue({ subject })))
  })

  test('those that come while several are dealt with are of their company', async () => {
    const { db, log } = watched(driver.onDisk())
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
    log.length = 0
    const first = NAMES.map((subject) => tokens.issue({ subject }))
    await setImmediate()
    await Promise.all([...first, tokens.issue({ subject: 'f' })])
    expect(log).toEqual(['BEGIN IMMEDIATE', ...EACH_WRITES, 'write', 'COMMIT'])
  })

  test('more than fit into one transaction go into the next', async () => {
    const { db, log } = watched(driver.inMemory())
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
    log.length = 0
    await Promise.all(Array.from({ length: 600 }, (_, index) => tokens.issue({ subject: String(index) })))
    expect(log.filter((entry) => entry === 'COMMIT')).toHaveLength(3)
  })

  test('of those who present the same token together one rotates, and all get its successor', async () => {
    const tokens = createRefreshTokens({ store: sqliteStore(driver.onDisk()), secrets: [SECRET] })
    const { refreshToken } = await tokens.issue({ subject: 'a' })
    const answers = await Promise.all(NAMES.map(() => tokens.rotate({ refreshToken })))
    const outcomes = answers.map((answer) => answer.ok && answer.outcome)
    expect(outcomes.sort()).toEqual(['retried', 'retried', 'retried', 'retried', 'rotated'])
    expect(new Set(answers.map((answer) => answer.ok && answer.refreshToken)).size).toBe(1)
  })

  const failures = {
    'fails by itself': "SELECT RAISE(ABORT, 'not c')",
    'takes the whole transaction back': "SELECT RAISE(ROLLBACK, 'not c')",
    'fails at the commit only': 'INSERT INTO children VALUES (1)',
  }
  test.each(Object.entries(failures))('one that %s does not take the others with it', async (_how, statement) => {
    const db = driver.onDisk()
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
    const issued = await Promise.all(NAMES.map((subject) => tokens.issue({ subject })))
    db.exec(`
      PRAGMA foreign_keys = ON;
      CREATE TABLE parents (id INTEGER PRIMARY KEY);
      CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
      CREATE TRIGGER failing AFTER UPDATE ON baton_families WHEN NEW.subject = 'c' BEGIN ${statement}; END;
    `)
    const rotations = issued.map(({ refreshToken }) => tokens.rotate({ refreshToken }))
    const settled = await Promise.allSettled(rotations)
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    expect(settled[2]).toMatchObject({ reason: { code: 'store_failed', cause: { message: expect.any(String) } } })
    const generations = await Promise.all(issued.map(async ({ family }) => (await tokens.find(family.id))?.generation))
    expect(generations).toEqual([1, 1, 0, 1, 1])
    db.exec('DROP TRIGGER failing')
    expect(await tokens.rotate({ refreshToken: issued[2]?.refreshToken ?? '' })).toMatchObject({ outcome: 'rotated' })
  })

  test('a number that a column rejects fails alone, in the one transaction that the others share', async () => {
    const { db, log } = watched(driver.onDisk())
    const store = sqliteStore(db)
    const claims = NAMES.map((key, index) => ({
      key,
      owner: key,
      expiresAt: index === 2 ? NOW + 1000.1234 : NOW + 1000,
    }))
    log.length = 0
    const settled = await Promise.allSettled(claims.map((claim) => store.claimOnce(claim, NOW)))
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    expect(log).toEqual(['BEGIN IMMEDIATE', ...EACH_WRITES, 'COMMIT'])
    const others = await Promise.all(
      NAMES.map((key) => store.claimOnce({ key, owner: 'z', expiresAt: NOW + 1000 }, NOW)),
    )
    expect(others).toEqual(['a', 'b', 'z', 'd', 'e'])
  })

  test('where the file stays locked all of them hear so after one wait', async () => {
    const path = freshPath()
    const connection = driver.open(path)
    const { db, log } = watched(connection)
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
    const issued = await Promise.all(NAMES.map((subject) => tokens.issue({ subject })))
    const other = driver.open(path)
    connection.exec('PRAGMA busy_timeout = 0')
    other.exec('BEGIN IMMEDIATE')
    log.length = 0
    const settled = await Promise.allSettled(issued.map(({ refreshToken }) => tokens.rotate({ refreshToken })))
    expect(settled).toMatchObject(NAMES.map(() => ({ reason: { cause: { message: 'database is locked' } } })))
    expect(log).toEqual(['BEGIN IMMEDIATE'])
    other.exec('COMMIT')
    const answers = await Promise.all(issued.map(({ refreshToken }) => tokens.rotate({ refreshToken })))
    expect(answers).toMatchObject(NAMES.map(() => ({ outcome: 'rotated' })))
  })

  test('a transaction of the app that stays open takes them in, as it takes whatever runs on its connection', async () => {
    const db = driver.onDisk()
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
    db.exec('CREATE TABLE notes (text TEXT); BEGIN; INSERT INTO notes VALUES (1)')
    const issued = await Promise.all(NAMES.map((subject) => tokens.issue({ subject })))
    expect(await tokens.find(issued[0]?.family.id ?? '')).not.toBeNull()
    db.exec('ROLLBACK')
    expect(await tokens.find(issued[0]?.family.id ?? '')).toBeNull()
  })

  test('a call made in a transaction of the app that ends at once is not part of the transaction', async () => {
    const db = driver.onDisk()
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
    db.exec('BEGIN')
    const issuing = NAMES.map((subject) => tokens.issue({ subject }))
    db.exec('ROLLBACK')
    await setImmediate()
    const issued = await Promise.all(issuing)
    expect(await tokens.find(issued[0]?.family.id ?? '')).not.toBeNull()
  })
})

/** The same connection, and what is done on it but for reading. */
function watched(connection: Connection): { db: SqliteDatabase; log: string[] } {
  const log: string[] = []
  const db: SqliteDatabase = {
    prepare(sql) {
      const statement = connection.prepare(sql)
      if (!/INSERT|UPDATE/.test(sql)) return statement
      return {
        all(parameters) {
          log.push('write')
          return statement.all(parameters)
        },
      }
    },
    exec(sql) {
      log.push(sql)
      return connection.exec(sql)
    },
  }
  return { db, log }
}

async function logged<Answer>(log: string[], call: Promise<Answer>): Promise<Answer> {
  const answer = await call
  log.push('answered')
  return answer
}
