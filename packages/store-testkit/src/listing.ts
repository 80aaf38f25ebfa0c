import assert from 'node:assert/strict'
import type { FamilyRecord, TokenStore } from '@baton/core'
import { assertEqual } from './equality.js'
import { DAY, familyOf, HOUR, NOW, renewalOf, revocationOf, rotationOf, withChanges } from './records.js'
import { casesOf, type OpenStore, type StoreCase } from './store-case.js'

/** The cases about the list of the sessions of a subject. */
export function listingCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, {
    'list: newest first, whole records': async (store) => {
      const [old, middle, young] = await createAll(store, [
        familyOf('old', { createdAt: NOW - 2 }),
        familyOf('middle', { createdAt: NOW - 1 }),
        familyOf('young', { createdAt: NOW }),
      ])
      const page = await store.list({ subject: 'user-1', limit: 10, now: NOW })
      assertEqual(page, { items: [young, middle, old], cursor: null })
    },
    'list: a subject without families has an empty page': async (store) => {
      await createAll(store, [familyOf('a')])
      assertEqual(await store.list({ subject: 'nobody', limit: 10, now: NOW }), { items: [], cursor: null })
    },
    'list: subjects that look alike stay apart': async (store) => {
      const subjects = ['a', 'A', 'a ', ' a', 'á', 'a\u0301', 'a%', 'a_', '%', '*', 'a:b', 'a|b', '1', '01', '1.0']
      await createAll(
        store,
        subjects.map((subject) => familyOf(subject, { subject })),
      )
      for (const subject of subjects) {
        const { items } = await store.list({ subject, limit: 10, now: NOW })
        assertEqual(items, [familyOf(subject, { subject })])
      }
    },
    'list: shows what stands after rotations': async (store) => {
      const [record] = await createAll(store, [familyOf('a')])
      const after = await store.rotate(rotationOf(record, NOW + HOUR))
      const { items } = await store.list({ subject: record.grant.subject, limit: 10, now: NOW + HOUR })
      assertEqual(items, [after])
    },
    'list: leaves out the revoked and the expired, at their very end already': async (store) => {
      const [revoked, idle, alive] = await createAll(store, [
        familyOf('revoked', { createdAt: NOW - 3 }),
        familyOf('idle', { createdAt: NOW - 2 }),
        familyOf('alive', { createdAt: NOW - 1 }),
      ])
      await store.revoke(revoked.id, revocationOf('a'))
      const renewed = await store.rotate(renewalOf(alive, NOW + HOUR))
      const namesAt = async (now: number) => (await store.list({ subject: 'user-1', limit: 10, now })).items
      assertEqual(await namesAt(NOW + DAY - 1), [renewed, idle])
      assertEqual(await namesAt(NOW + DAY), [renewed])
      assertEqual(await namesAt(NOW + DAY + HOUR), [])
    },
    'list: pages hold at most `limit`, and the last one says so': async (store) => {
      const records = await createAll(store, numbered(4))
      const first = await store.list({ subject: 'user-1', limit: 2, now: NOW })
      assertEqual(first.items, records.slice(0, 2))
      assert.equal(typeof first.cursor, 'string')
      const second = await store.list({ subject: 'user-1', limit: 2, now: NOW, cursor: first.cursor ?? '' })
      assertEqual(second, { items: records.slice(2), cursor: null })
    },
    'list: pages of every size show each family once, in one order': async (store) => {
      const records = await createAll(store, numbered(7))
      for (const limit of [1, 2, 3, 6, 7, 8, 100]) assertEqual(await pagesOf(store, limit), records)
    },
    'list: families of the same instant keep one order and none is lost': async (store) => {
      const twins = numbered(9).map((record) => withChanges(record, { createdAt: NOW }))
      await createAll(store, twins)
      const order = await pagesOf(store, 100)
      assert.equal(new Set(order.map(({ id }) => id)).size, 9)
      for (const limit of [1, 2, 4, 9]) assertEqual(await pagesOf(store, limit), order)
    },
    'list: the dead between the living cost no page': async (store) => {
      const records = await createAll(store, numbered(9))
      for (const [index, record] of records.entries())
        if (index % 3 !== 0) await store.revoke(record.id, revocationOf('a'))
      const living = records.filter((_, index) => index % 3 === 0)
      for (const limit of [1, 2, 3, 4]) assertEqual(await pagesOf(store, limit), living)
    },
    'list: a family that lives throughout the paging appears once, whatever happens to others': async (store) => {
      const records = await createAll(store, numbered(8))
      const seen: string[] = []
      let cursor: string | null = null
      for (let page = 0; page === 0 || cursor !== null; page += 1) {
        assert.ok(page < MAX_PAGES, 'the cursors must reach the last page')
        const query = { subject: 'user-1', limit: 2, now: NOW + 1 }
        const answer = await store.list(cursor === null ? query : { ...query, cursor })
        seen.push(...answer.items.map(({ id }) => id))
        cursor = answer.cursor
        // The family at the cursor dies, another one rotates, and younger ones arrive, at the head and of an age already passed.
        const last = answer.items.at(-1)
        if (page < 2 && last !== undefined) await store.revoke(last.id, revocationOf('a'))
        const rotating = records[5]
        if (page === 0 && rotating !== undefined) await store.rotate(rotationOf(rotating, NOW + 1))
        await createAll(store, [familyOf(`late ${String(page)}`, { createdAt: NOW + page })])
      }
      const expected = records.map(({ id }) => id)
      assertEqual(
        seen.filter((id) => expected.includes(id as FamilyRecord['id'])),
        expected,
      )
      assert.equal(new Set(seen).size, seen.length)
    },
    'list: a cursor that the store did not make rejects with a ConfigurationError': async (store) => {
      await createAll(store, numbered(3))
      for (const cursor of ['', 'not a cursor', '😀', `'; --`])
        await assert.rejects(
          async () => store.list({ subject: 'user-1', limit: 2, now: NOW, cursor }),
          // Compared by name, because jest runs tests in a separate realm.
          { name: 'ConfigurationError' },
          `the cursor ${JSON.stringify(cursor)} must reject with a ConfigurationError, because the caller sent it`,
        )
    },
    'list: a cursor that was changed on its way is a position, or rejects with a ConfigurationError': async (store) => {
      await createAll(store, numbered(3))
      const { cursor } = await store.list({ subject: 'user-1', limit: 2, now: NOW })
      if (cursor === null) assert.fail('the first of two pages must have a cursor')
      const bytes = Buffer.from(cursor, 'base64url')
      const changed = ['0', '9', 'z', '_', '\0'].flatMap((character) => [
        ...Array.from(cursor, (_, at) => cursor.slice(0, at) + character + cursor.slice(at + 1)),
        // Most cursors are base64url of something: it counts what that says, not how it is spelt.
        ...Array.from(bytes, (_, at) => {
          const copy = Buffer.from(bytes)
          copy.write(character, at)
          return copy.toString('base64url')
        }),
      ])
      const answers = await Promise.allSettled(
        changed.map(async (one) => store.list({ subject: 'user-1', limit: 2, now: NOW, cursor: one })),
      )
      for (const answer of answers)
        if (answer.status === 'rejected') assert.equal((answer.reason as Error).name, 'ConfigurationError')
    },
    'list: continues from a cursor whose family has been purged': async (store) => {
      const records = await createAll(store, numbered(4))
      const first = await store.list({ subject: 'user-1', limit: 2, now: NOW })
      const last = first.items.at(-1)
      if (last === undefined || first.cursor === null)
        assert.fail('the first of two pages must have items and a cursor')
      await store.revoke(last.id, revocationOf('a', { at: NOW }))
      await store.purge(NOW, 100)
      const second = await store.list({ subject: 'user-1', limit: 2, now: NOW, cursor: first.cursor })
      assertEqual(second.items, records.slice(2))
    },
  })
}

/** In the order of the list: newest first. */
function numbered(count: number): FamilyRecord[] {
  return Array.from({ length: count }, (_, index) => familyOf(String(index), { createdAt: NOW - index * HOUR }))
}

async function createAll<const Records extends readonly FamilyRecord[]>(store: TokenStore, records: Records) {
  // Backwards, so that the order of creation is not by chance the order of the list.
  for (const record of [...records].reverse()) await store.create(record, NOW)
  return records
}

const MAX_PAGES = 50

async function pagesOf(store: TokenStore, limit: number): Promise<FamilyRecord[]> {
  const items: FamilyRecord[] = []
  let cursor: string | null = null
  for (let pages = 0; pages === 0 || cursor !== null; pages += 1) {
    assert.ok(pages < MAX_PAGES, 'the cursors must reach the last page')
    const query = { subject: 'user-1', limit, now: NOW }
    const page = await store.list(cursor === null ? query : { ...query, cursor })
    assert.ok(page.items.length <= limit)
    items.push(...page.items)
    cursor = page.cursor
  }
  return items
}
