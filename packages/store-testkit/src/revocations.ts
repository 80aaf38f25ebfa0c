import assert from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { TEXT_LIMITS, type TokenStore } from '@baton/core'
import { REVOCATION_RETENTION_MS, type RevocationPage, type RevokedFamily } from '@baton/core/store'
import { assertEqual } from './equality.js'
import { DAY, familyId, familyOf, HOUR, NOW, revocationOf } from './records.js'
import { casesOf, type Checks, type OpenStore, type StoreCase } from './store-case.js'

/** Cases of `listRevoked`: a reader that continues from its cursor receives every revocation. */
export function revocationCases(openStore: OpenStore): StoreCase[] {
  return [...casesOf(openStore, listing), ...casesOf(openStore, concurrent)]
}

const SINCE = NOW - DAY
const MAX_PAGES = 500

/** Reads from a cursor until nothing follows. */
async function readAll(store: TokenStore, cursor?: string, limit = 100): Promise<RevocationPage> {
  const items: RevokedFamily[] = []
  let page: RevocationPage | null = null
  for (let pages = 0; page === null || page.hasMore; pages += 1) {
    assert.ok(pages < MAX_PAGES, 'listRevoked does not end')
    const from: string | undefined = page?.cursor ?? cursor
    page = await store.listRevoked({ since: SINCE, limit, ...(from === undefined ? {} : { cursor: from }) })
    assert.ok(page.items.length <= limit, 'a page has more items than its limit')
    items.push(...page.items)
  }
  return { ...page, items }
}

async function revoke(store: TokenStore, name: string, at = NOW): Promise<RevokedFamily> {
  const record = familyOf(name, { subject: `subject ${name}` })
  await store.create(record, NOW)
  await store.revoke(record.id, revocationOf(name, { at }))
  return { id: record.id, revokedAt: at }
}

const names = (count: number, prefix = '') => Array.from({ length: count }, (_, index) => `${prefix}${String(index)}`)

const listing: Checks = {
  'listRevoked: returns revoked families of every subject, oldest first, and no other family': async (store) => {
    await store.create(familyOf('active'), NOW)
    const revoked = []
    for (const [index, name] of names(5).entries()) revoked.push(await revoke(store, name, NOW + index))
    const { items, hasMore } = await readAll(store)
    assertEqual(items, revoked)
    assert.equal(hasMore, false)
  },
  'listRevoked: a store without revocations returns a cursor from which the first one is found': async (store) => {
    const { items, cursor } = await readAll(store)
    assertEqual(items, [])
    const revoked = await revoke(store, 'a')
    assertEqual((await readAll(store, cursor)).items, [revoked])
  },
  'listRevoked: a cursor continues after its page, and an old one begins there again': async (store) => {
    const cursors: (string | undefined)[] = [undefined]
    const revoked = []
    for (const name of names(6)) {
      revoked.push(await revoke(store, name))
      cursors.push((await readAll(store, cursors.at(-1))).cursor)
    }
    for (const [index, cursor] of cursors.entries())
      assertEqual((await readAll(store, cursor)).items, revoked.slice(index))
  },
  'listRevoked: pages of every size return each family': async (store) => {
    const revoked = []
    for (const name of names(9)) revoked.push(await revoke(store, name))
    for (const limit of [1, 2, 3, 8, 9, 10]) assertEqual((await readAll(store, undefined, limit)).items, revoked)
  },
  'listRevoked: returns revocations that are made while pages are read': async (store) => {
    const expected = new Set<string>()
    for (const name of names(6)) expected.add((await revoke(store, name)).id)
    const seen = new Set<string>()
    let page: RevocationPage | null = null
    for (let pages = 0; page === null || page.hasMore || pages < 6; pages += 1) {
      page = await store.listRevoked({ since: SINCE, limit: 2, ...(page === null ? {} : { cursor: page.cursor }) })
      for (const { id } of page.items) seen.add(id)
      if (pages < 4) expected.add((await revoke(store, `late ${String(pages)}`, NOW - pages)).id)
    }
    assertEqual([...seen].sort(), [...expected].sort())
  },
  'listRevoked: a revocation by an instance whose clock is behind is returned after the others': async (store) => {
    await revoke(store, 'ahead', NOW + 2000)
    const { cursor } = await readAll(store)
    const behind = await revoke(store, 'behind', NOW - 2000)
    assertEqual((await readAll(store, cursor)).items, [behind])
    assert.equal((await readAll(store)).items.length, 2)
  },
  'listRevoked: revocations of the same instant are all returned': async (store) => {
    const revoked = []
    let cursor: string | undefined
    for (const name of names(5)) {
      revoked.push(await revoke(store, name))
      const page = await readAll(store, cursor)
      assertEqual(page.items, revoked.slice(-1))
      cursor = page.cursor
    }
    assertEqual((await readAll(store)).items, revoked)
  },
  'listRevoked: a family that create stores as revoked is returned': async (store) => {
    const record = familyOf('a', { revocation: revocationOf('a', { at: NOW }) })
    await store.create(record, NOW)
    assertEqual((await readAll(store)).items, [{ id: record.id, revokedAt: NOW }])
  },
  'listRevoked: a create that finds an active family and a revocation of an unknown id add nothing': async (store) => {
    await store.create(familyOf('a'), NOW)
    await store.create(familyOf('a', { revocation: revocationOf('a') }), NOW)
    assert.equal(await store.revoke(familyId('unknown'), revocationOf('unknown')), null)
    assertEqual((await readAll(store)).items, [])
  },
  'listRevoked: a second revocation of a family keeps the instant of the first one': async (store) => {
    const first = await revoke(store, 'a')
    await store.revoke(first.id, revocationOf('again', { at: NOW + HOUR }))
    const { items } = await readAll(store)
    assert.ok(items.length > 0)
    for (const item of items) assertEqual(item, first)
  },
  'listRevoked: a revoked family that purge may delete is still returned': async (store) => {
    const revoked = await revoke(store, 'a')
    await store.purge(NOW + HOUR, 100)
    assertEqual((await readAll(store)).items, [revoked])
  },
  'listRevoked: an entry is kept for as long as an access token may be valid, and deleted later': async (store) => {
    const kept = await revoke(store, 'old', NOW - REVOCATION_RETENTION_MS)
    const last = await revoke(store, 'new')
    const all = async () => (await store.listRevoked({ since: NOW - 100 * DAY, limit: 1000 })).items
    assertEqual(await all(), [kept, last])
    const later = []
    for (const name of names(3)) later.push(await revoke(store, `later ${name}`, NOW + HOUR + REVOCATION_RETENTION_MS))
    assertEqual(await all(), later)
  },
  'listRevoked: a cursor that the store did not make rejects with a ConfigurationError': async (store) => {
    const { cursor } = await readAll(store)
    await revoke(store, 'a')
    const { cursor: ofList } = await store.list({ subject: 'subject a', limit: 1, now: NOW })
    for (const wrong of ['', 'not a cursor', '😀', `'; --`, `${cursor}x`, cursor.slice(1), ofList ?? 'none'])
      await assert.rejects(
        async () => store.listRevoked({ since: SINCE, limit: 2, cursor: wrong }),
        { name: 'ConfigurationError' },
        `the cursor ${JSON.stringify(wrong)} must reject with a ConfigurationError`,
      )
  },
  'listRevoked: a changed cursor is a position, or rejects with a ConfigurationError': async (store) => {
    await revoke(store, 'a')
    await revoke(store, 'b')
    const { cursor } = await store.listRevoked({ since: SINCE, limit: 1 })
    assert.ok(cursor !== '' && Buffer.byteLength(cursor) <= TEXT_LIMITS.cursorBytes)
    const bytes = Buffer.from(cursor, 'base64url')
    const changed = ['0', '9', ':', ',', '\0'].flatMap((character) =>
      Array.from(bytes, (_, at) => {
        const copy = Buffer.from(bytes)
        copy.write(character, at)
        return copy.toString('base64url')
      }),
    )
    for (const one of changed)
      await store.listRevoked({ since: SINCE, limit: 2, cursor: one }).catch((error: unknown) => {
        assert.equal(error instanceof Error && error.name, 'ConfigurationError')
      })
  },
}

const ROUNDS = 12
const WRITES = 8

const concurrent: Checks = {
  'listRevoked: what one connection revoked is returned through another at once': async (one, another) => {
    const other = await another()
    let cursor: string | undefined
    for (const [index, name] of names(10).entries()) {
      const revoked = await revoke(index % 2 === 0 ? one : other, name, NOW - index)
      const page = await readAll(index % 2 === 0 ? other : one, cursor)
      assertEqual(page.items, [revoked])
      cursor = page.cursor
    }
  },
  'listRevoked: a reader that continues from its cursors misses no concurrent revocation': async (one, another) => {
    const other = await another()
    const expected: string[] = []
    const seen = new Set<string>()
    let cursor: string | undefined
    const writer = { isDone: false }
    async function read(): Promise<void> {
      const page = await readAll(other, cursor, 3)
      cursor = page.cursor
      for (const { id } of page.items) seen.add(id)
    }
    async function write(): Promise<void> {
      for (const round of names(ROUNDS, 'round ')) {
        const stores = names(WRITES, `${round} write `).map((name, index) => ({
          name,
          store: index % 2 === 0 ? one : other,
        }))
        // The clocks of the instances differ, and calls are made in another order than that of the instants.
        const revoked = stores.map(({ store, name }, index) =>
          revoke(store, name, NOW + ((index * 7919) % 4001) - 2000),
        )
        for (const { id } of await Promise.all(revoked)) expected.push(id)
      }
    }
    const written = write().finally(() => {
      writer.isDone = true
    })
    while (!writer.isDone) {
      await read()
      await nextTurn()
    }
    await written
    await read()
    assertEqual([...seen].sort(), expected.sort())
  },
}
