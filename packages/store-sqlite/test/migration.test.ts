import { readFileSync } from 'node:fs'
import { createRefreshTokens, type FamilyRecord, type RotateRequest } from '@baton/core'
import { afterEach, describe, expect, test } from 'vitest'
import { sqliteStore } from '../src/index.js'
import { closeAll, drivers } from './drivers.js'

afterEach(closeAll)

/** What a database of schema version 1 held when it was filled, and what must become of its refresh tokens. */
interface Contents {
  readonly secret: string
  readonly now: number
  readonly families: readonly {
    readonly name: string
    readonly record: FamilyRecord
    readonly requests: readonly (RotateRequest & { readonly outcome: string; readonly successor?: string })[]
  }[]
  readonly usedOnce: { readonly purpose: string; readonly key: string; readonly expiresAt: number }
}

const read = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8')
const { secret, now, families, usedOnce } = JSON.parse(read('version-1.json')) as Contents

describe.each(drivers.map((driver) => [driver.name, driver] as const))(
  '%s: a file of schema version 1',
  (_name, driver) => {
    function migrated() {
      const db = driver.onDisk()
      db.exec(read('version-1.sql'))
      const store = sqliteStore(db)
      return { db, store, tokens: createRefreshTokens({ store, secrets: [secret], now: () => now }) }
    }

    test.each(families)('keeps the record of a family that is $name', async ({ record }) => {
      const { store } = migrated()
      expect(await store.find(record.id)).toEqual(record)
      const active = record.revocation === null && record.expiresAt > now
      const { items } = await store.list({ subject: record.grant.subject, limit: 10, now })
      expect(items.filter(({ id }) => id === record.id)).toEqual(active ? [record] : [])
    })

    test.each(families)('keeps the refresh tokens of a family that is $name', async ({ requests }) => {
      const { tokens } = migrated()
      for (const { outcome, successor, ...request } of requests) {
        const answer = await tokens.rotate(request)
        expect(answer.ok ? answer.outcome : answer.reason).toBe(outcome)
        if (successor !== undefined) expect(answer).toMatchObject({ refreshToken: successor })
      }
    })

    test('lists the families that were revoked before the migration', async () => {
      const { items } = await migrated().store.listRevoked({ since: 0, limit: 100 })
      const revoked = families.flatMap(({ record: { id, revocation } }) =>
        revocation ? [{ id, revokedAt: revocation.at }] : [],
      )
      expect(revoked.length).toBeGreaterThan(0)
      expect(new Set(items)).toEqual(new Set(revoked))
    })

    test('has the tables and indexes of a new file after the migration', () => {
      const fresh = driver.onDisk()
      sqliteStore(fresh)
      const definition = `SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name`
      expect(migrated().db.prepare(definition).all({})).toEqual(fresh.prepare(definition).all({}))
    })

    test('keeps one-time keys, purges, and is migrated once', async () => {
      const { db, store, tokens } = migrated()
      expect(await tokens.consumeOnce(usedOnce)).toBe(false)
      expect(await store.purge(now, 100)).toBe(2)
      sqliteStore(db)
      expect(db.prepare('SELECT version FROM baton_schema').all({})).toEqual([{ version: 3 }])
      const [first] = families
      expect(await store.find(first!.record.id)).toEqual(first!.record)
    })
  },
)
