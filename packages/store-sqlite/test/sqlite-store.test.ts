import { setImmediate } from 'node:timers/promises'
import { ConfigurationError, createRefreshTokens, type FamilyRecord } from '@baton/core'
import { familyOf as recordOf, rotationOf as rotationAt } from '@baton/store-testkit'
import BetterSqlite3 from 'better-sqlite3'
import { afterEach, describe, expect, test } from 'vitest'
import { type SqliteDatabase, sqliteStore } from '../src/index.js'
import { close, closeAll, drivers, freshPath } from './drivers.js'

const NOW = Date.UTC(2027, 0, 15)
const DAY = 86_400_000

afterEach(closeAll)

describe.each(drivers.map((driver) => [driver.name, driver] as const))('%s', (_name, driver) => {
  describe('the connection', () => {
    test('is in WAL mode, writes through to the disk at every commit, and waits for other writers', async () => {
      const path = freshPath()
      // The second time the file is in WAL mode already, where some builds lower `synchronous` when they first touch it.
      for (const time of ['created', 'opened again']) {
        const db = driver.open(path)
        const store = sqliteStore(db)
        await store.create(familyOf(time), NOW)
        expect(pragma(db, 'journal_mode')).toBe('wal')
        expect(pragma(db, 'synchronous')).toBe(2)
        expect(pragma(db, 'busy_timeout')).toBeGreaterThanOrEqual(5000)
        close(db)
      }
    })

    test('keeps stricter settings that the app has made', () => {
      const db = driver.onDisk()
      db.exec('PRAGMA synchronous = EXTRA; PRAGMA busy_timeout = 20000')
      sqliteStore(db)
      expect(pragma(db, 'synchronous')).toBe(3)
      expect(pragma(db, 'busy_timeout')).toBe(20_000)
    })

    test('loses laxer settings', () => {
      const db = driver.onDisk()
      db.exec('PRAGMA synchronous = OFF; PRAGMA busy_timeout = 0')
      sqliteStore(db)
      expect(pragma(db, 'synchronous')).toBe(2)
      expect(pragma(db, 'busy_timeout')).toBe(5000)
    })

    test('goes to WAL mode at the second attempt where the first one meets another connection', () => {
      const path = freshPath()
      const db = driver.open(path)
      sqliteStore(db)
      db.exec('PRAGMA journal_mode = DELETE')
      const other = driver.open(path)
      let attempts = 0
      const watched: SqliteDatabase = {
        // As long as it waits nothing else runs here that could end the other's transaction.
        exec: (sql) => (sql.includes('busy_timeout') ? undefined : db.exec(sql)),
        prepare: (sql) => {
          if (sql !== 'PRAGMA journal_mode = WAL') return db.prepare(sql)
          attempts += 1
          other.exec(attempts === 1 ? 'BEGIN; SELECT * FROM baton_families' : 'COMMIT')
          return db.prepare(sql)
        },
      }
      db.exec('PRAGMA busy_timeout = 0')
      sqliteStore(watched)
      expect(attempts).toBe(2)
      expect(pragma(db, 'journal_mode')).toBe('wal')
    })

    test('is rejected if it is not a database', () => {
      const wrong: [unknown, RegExp][] = [
        ['app.db', /got a string/],
        [BetterSqlite3, /got a function/],
        [undefined, /got undefined/],
        [null, /got null/],
        [Promise.resolve(), /got a promise; await it/],
        [{ query: () => undefined, connect: () => undefined }, /got an object without exec\(\) and prepare\(\)/],
        [
          { exec: () => undefined, prepare: () => ({ all: () => Promise.resolve([]) }) },
          /does not return rows synchronously/,
        ],
        [{ exec: () => undefined, prepare: () => ({ get: () => undefined }) }, /does not return rows synchronously/],
      ]
      for (const [db, message] of wrong) {
        expect(() => sqliteStore(db as SqliteDatabase)).toThrow(message)
        expect(() => sqliteStore(db as SqliteDatabase)).toThrow(ConfigurationError)
      }
    })

    test('is rejected if it is closed', () => {
      const db = driver.inMemory()
      close(db)
      expect(() => sqliteStore(db)).toThrow(/got a closed database|database is not open/)
    })

    test('is rejected if it is read-only, even if the tables exist', () => {
      const path = freshPath()
      close(driver.open(path))
      expect(() => sqliteStore(driver.open(path, { readOnly: true }))).toThrow(/read-?only/)
      sqliteStore(driver.open(path))
      expect(() => sqliteStore(driver.open(path, { readOnly: true }))).toThrow(/read-?only/)
    })

    test('is rejected within a transaction, which continues', () => {
      const db = driver.onDisk()
      db.exec('CREATE TABLE notes (text TEXT); BEGIN; INSERT INTO notes VALUES (1)')
      expect(() => sqliteStore(db)).toThrow(/cannot use this database: .*transaction within a transaction/)
      db.exec('COMMIT')
      expect(count(db, 'notes')).toBe(1)
    })

    test('closed later makes every call reject', async () => {
      const db = driver.inMemory()
      const store = sqliteStore(db)
      close(db)
      await expect(store.find(familyOf('a').id)).rejects.toThrow()
      await expect(store.create(familyOf('a'), NOW)).rejects.toThrow()
      await expect(store.purge(NOW, 1)).rejects.toThrow()
    })
  })

  describe('the schema', () => {
    test('is made once, bears its version, and leaves the rest of the file to the app', async () => {
      const path = freshPath()
      const app = driver.open(path)
      app.exec('PRAGMA user_version = 7; CREATE TABLE users (id TEXT)')
      await sqliteStore(app).create(familyOf('a'), NOW)
      expect(await sqliteStore(driver.open(path)).find(familyOf('a').id)).toEqual(familyOf('a'))
      expect(rows(app, 'SELECT version FROM baton_schema')).toEqual([{ version: 3 }])
      expect(pragma(app, 'user_version')).toBe(7)
      const tables = rows(app, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
      expect(tables.map(({ name }) => name)).toEqual([
        'baton_families',
        'baton_remembered',
        'baton_revocations',
        'baton_schema',
        'users',
      ])
    })

    test('is completed where an earlier version left off', async () => {
      const db = driver.onDisk()
      db.exec('CREATE TABLE baton_schema (version INTEGER NOT NULL) STRICT; INSERT INTO baton_schema VALUES (0)')
      const store = sqliteStore(db)
      expect(await store.create(familyOf('a'), NOW)).toEqual(familyOf('a'))
      expect(rows(db, 'SELECT version FROM baton_schema')).toEqual([{ version: 3 }])
    })

    test('is rejected and left unchanged if a newer version created it', () => {
      const db = driver.onDisk()
      db.exec('CREATE TABLE baton_schema (version INTEGER NOT NULL) STRICT; INSERT INTO baton_schema VALUES (4)')
      db.exec('CREATE TABLE baton_families (something, other)')
      const before = rows(db, 'SELECT * FROM sqlite_schema')
      expect(() => sqliteStore(db)).toThrow(/schema version 4 .* knows none above 3; update the package/)
      expect(rows(db, 'SELECT * FROM sqlite_schema')).toEqual(before)
      expect(rows(db, 'SELECT version FROM baton_schema')).toEqual([{ version: 4 }])
      expect(pragma(db, 'journal_mode')).toBe('delete')
      // Nothing is left open either.
      db.exec('BEGIN IMMEDIATE; COMMIT')
    })

    test('is not half made where making it fails', () => {
      const db = driver.onDisk()
      db.exec('CREATE TABLE baton_remembered (mine TEXT)')
      expect(() => sqliteStore(db)).toThrow(/baton_remembered already exists/)
      expect(rows(db, 'SELECT name FROM sqlite_schema')).toEqual([{ name: 'baton_remembered' }])
    })

    test('has no index on expires_at, so that a rotation writes one row and nothing else', () => {
      const db = driver.inMemory()
      sqliteStore(db)
      const indexed = rows(
        db,
        `SELECT info.name FROM pragma_index_list('baton_families') AS list, pragma_index_info(list.name) AS info`,
      )
      const names = indexed.map(({ name }) => String(name))
      expect(names.sort()).toEqual(['absolute_expires_at', 'created_at', 'id', 'id', 'subject'])
    })

    test('lists in the order of its index, without sorting', () => {
      const statements: string[] = []
      const db = driver.inMemory()
      const watched = { exec: db.exec.bind(db), prepare: (sql: string) => (statements.push(sql), db.prepare(sql)) }
      sqliteStore(watched)
      const list = statements.find((sql) => sql.includes('ORDER BY created_at DESC, id')) ?? ''
      const parameters = { subject: 'a', createdAt: NOW, id: '', now: NOW, limit: 2 }
      const plan = db.prepare(`EXPLAIN QUERY PLAN ${list}`).all(parameters) as { detail: string }[]
      expect(plan.map(({ detail }) => detail)).toEqual([
        expect.stringMatching(
          /^SEARCH baton_families USING INDEX baton_families_by_subject \(subject=\? AND created_at/,
        ),
      ])
    })
  })

  describe('writing', () => {
    test('a commit that fails is no success', async () => {
      const db = driver.onDisk()
      const store = sqliteStore(db)
      const record = familyOf('a')
      await store.create(record, NOW)
      // Checked at the commit, when the updated row has been returned already.
      db.exec(`
        PRAGMA foreign_keys = ON;
        CREATE TABLE parents (id INTEGER PRIMARY KEY);
        CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER orphan AFTER UPDATE ON baton_families BEGIN INSERT INTO children VALUES (1); END;
      `)
      await expect(store.rotate(rotationOf(record))).rejects.toThrow(/FOREIGN KEY/)
      await expect(store.revoke(record.id, { id: 'r', at: NOW, reason: 'logout' })).rejects.toThrow(/FOREIGN KEY/)
      expect(await store.find(record.id)).toEqual(record)
    })

    test('a file that stays locked is an operational error and ends no session', async () => {
      const path = freshPath()
      const db = driver.open(path)
      const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: ['a secret of at least thirty-two bytes'] })
      const { refreshToken } = await tokens.issue({ subject: 'a' })
      const other = driver.open(path)
      db.exec('PRAGMA busy_timeout = 0')
      other.exec('BEGIN IMMEDIATE')
      await expect(tokens.rotate({ refreshToken })).rejects.toMatchObject({
        code: 'store_failed',
        cause: { message: 'database is locked' },
      })
      other.exec('COMMIT')
      expect(await tokens.rotate({ refreshToken })).toMatchObject({ ok: true, outcome: 'rotated' })
    })

    test.each([1, 2])(
      'a connection that still reads an older state tries again when it has done so, for %i',
      async (many) => {
        const path = freshPath()
        const db = driver.open(path)
        const store = sqliteStore(db)
        const records = ['a', 'b'].slice(0, many).map(familyOf)
        for (const record of records) await store.create(record, NOW)
        db.exec('BEGIN')
        rows(db, 'SELECT * FROM baton_families')
        await sqliteStore(driver.open(path)).create(familyOf('c'), NOW)
        const rotations = records.map((record) => store.rotate(rotationOf(record)))
        // The first attempt has met the older state by then.
        await setImmediate()
        db.exec('COMMIT')
        expect(await Promise.all(rotations)).toMatchObject(records.map(() => ({ current: { generation: 1 } })))
      },
    )

    test('is seen by other connections at once', async () => {
      const path = freshPath()
      const [one, other] = [sqliteStore(driver.open(path)), sqliteStore(driver.open(path))]
      const record = familyOf('a')
      await one.create(record, NOW)
      const after = await other.rotate(rotationOf(record))
      expect(await one.rotate(rotationOf(record))).toEqual(after)
      const claim = { key: 'key', owner: 'one', expiresAt: NOW + DAY }
      expect(await one.claimOnce(claim, NOW)).toBe('one')
      expect(await other.claimOnce({ ...claim, owner: 'other' }, NOW)).toBe('one')
    })
  })

  describe('purging', () => {
    test('thousands of families, some dead, ends with all of the dead gone and all of the living there', async () => {
      const db = driver.inMemory()
      const store = sqliteStore(db)
      await createMany(store, 3500)
      // Every third one is revoked: no index knows them.
      for (let index = 0; index < 3500; index += 3) await revokeOne(store, index)
      expect(await purgeAll(store, 250)).toBe(1167)
      expect(count(db, 'baton_families')).toBe(2333)
      // The next dead are where the last purge has been already, and where it has not.
      for (const index of [1, 2, 1699, 1700, 3497, 3499]) await revokeOne(store, index)
      expect(await store.purge(NOW + 1, 4)).toBe(4)
      expect(await store.purge(NOW + 1, 4)).toBe(2)
      expect(await store.purge(NOW + 1, 4)).toBe(0)
    })

    test('call after call does not look at the same living families again and again', async () => {
      const db = driver.inMemory()
      let looks = 0
      const watched: SqliteDatabase = {
        exec: (sql) => db.exec(sql),
        prepare: (sql) => {
          const statement = db.prepare(sql)
          if (!sql.includes('AS dead')) return statement
          return { all: (parameters) => ((looks += 1), statement.all(parameters)) }
        },
      }
      const store = sqliteStore(watched)
      await createMany(store, 5000)
      for (let index = 0; index < 5000; index += 50) await revokeOne(store, index)
      expect(await purgeAll(store, 5)).toBe(100)
      // 21 calls look at five thousand rows, a thousand at a time: two rounds, and one look more for each call.
      expect(looks).toBeLessThan(40)
    })

    test('gives others their turn after every few hundred rows', async () => {
      const db = driver.inMemory()
      const store = sqliteStore(db)
      await createMany(store, 1000)
      const purging = store.purge(NOW + 10 * DAY, 1000)
      const left: number[] = []
      for (let turn = 0; turn < 50; turn += 1) {
        left.push(count(db, 'baton_families'))
        await setImmediate()
      }
      expect(await purging).toBe(1000)
      expect(new Set(left).size).toBeGreaterThanOrEqual(4)
    })

    test('two purges at once count every family once', async () => {
      const store = sqliteStore(driver.inMemory())
      await createMany(store, 1500)
      for (let index = 0; index < 1500; index += 2) await revokeOne(store, index)
      const purged = await Promise.all([store.purge(NOW + 1, 1000), store.purge(NOW + 1, 1000)])
      expect(purged.reduce((sum, some) => sum + some, 0)).toBe(750)
    })
  })

  test('reports a trigger that silently ignores updates after a limited number of attempts', async () => {
    const db = driver.inMemory()
    const store = sqliteStore(db)
    const record = familyOf('a')
    await store.create(record, NOW)
    db.exec('CREATE TRIGGER deaf BEFORE UPDATE ON baton_families BEGIN SELECT RAISE(IGNORE); END')
    const renewal = { id: record.id, expect: record.current.verifier, next: null, now: NOW }
    await expect(store.rotate(renewal)).rejects.toThrow(/does not change it/)
    await expect(store.revoke(record.id, { id: 'r', at: NOW, reason: 'logout' })).rejects.toThrow(/does not change it/)
  })

  test('rejects a cursor that list did not return', async () => {
    const store = sqliteStore(driver.inMemory())
    for (const cursor of ['', '-', 'x', 'MTIz', 'MTIzLg', 'LmFiYw', 'MTIzLmFiYw=', 'MTIzLmFiYw==', 'bmV2ZXI.', '😀']) {
      const listing = store.list({ subject: 'a', cursor, limit: 1, now: NOW })
      await expect(listing).rejects.toThrow(/^option "cursor" is not one that list returned/)
      await expect(listing).rejects.toBeInstanceOf(ConfigurationError)
    }
  })
})

function familyOf(name: string): FamilyRecord {
  const times = {
    rotatedAt: NOW,
    createdAt: NOW,
    keepUntil: NOW,
    expiresAt: NOW + DAY,
    absoluteExpiresAt: NOW + 10 * DAY,
  }
  return recordOf(name, times)
}

function rotationOf(record: FamilyRecord) {
  return rotationAt(record, NOW)
}

type Store = ReturnType<typeof sqliteStore>

async function createMany(store: Store, many: number): Promise<void> {
  for (let index = 0; index < many; index += 1) await store.create(familyOf(String(index)), NOW)
}

function revokeOne(store: Store, index: number) {
  return store.revoke(familyOf(String(index)).id, { id: 'r', at: NOW, reason: 'logout' })
}

async function purgeAll(store: Store, limit: number): Promise<number> {
  const purged = await store.purge(NOW + 1, limit)
  return purged < limit ? purged : purged + (await purgeAll(store, limit))
}

function rows(db: SqliteDatabase, sql: string): Record<string, unknown>[] {
  // node:sqlite gives its rows no prototype.
  return db
    .prepare(sql)
    .all({})
    .map((row) => ({ ...(row as object) }))
}

function pragma(db: SqliteDatabase, name: string): unknown {
  return Object.values(rows(db, `PRAGMA ${name}`)[0] ?? {})[0]
}

function count(db: SqliteDatabase, table: string): number {
  return Number(rows(db, `SELECT count(*) AS count FROM ${table}`)[0]?.['count'])
}
