import assert from 'node:assert/strict'
import { createRefreshTokens, type FamilyRecord, TEXT_LIMITS, type TokenStore } from '@baton/core'
import { assertEqual } from './equality.js'
import { claimOf, type FamilyChanges, familyOf, HOUR, NOW, revocationOf, rotated, rotationOf } from './records.js'
import { casesOf, type OpenStore, type StoreCase } from './store-case.js'

const { nameBytes, scopeBytes, audienceEntries, amrEntries, metadataBytes, madeByCoreBytes, cursorBytes } = TEXT_LIMITS

/** A character of each length in UTF-8; the last one takes two units of UTF-16. */
const CHARACTERS = ['x', 'é', '€', '😀']

/** Texts of the lengths that core accepts at most. */
export function textCases(openStore: OpenStore): StoreCase[] {
  return casesOf(openStore, {
    ...Object.fromEntries(
      CHARACTERS.map((character) => [
        `texts: the longest ones come back whole, in characters of ${String(Buffer.byteLength(character))} bytes`,
        (store: TokenStore) => longestWith(store, character),
      ]),
    ),
    'texts: subjects of the greatest length that differ in their last byte stay apart': longSubjectsApart,
    'texts: keys of claims of the greatest length that differ in their last byte stay apart': longKeysApart,
    'texts: the longest ones that core accepts are issued, rotated and listed': longestThroughCore,
  })
}

/** Text of exactly this many bytes: the character, and ASCII for the rest. */
function fill(character: string, bytes: number): string {
  const count = Math.floor(bytes / Buffer.byteLength(character))
  return character.repeat(count).padEnd(character.length * count + (bytes % Buffer.byteLength(character)), 'x')
}

function longest(name: string, character: string, changes: FamilyChanges = {}): FamilyRecord {
  const text = fill(character, nameBytes)
  const record = familyOf(name, {
    subject: text,
    clientId: text,
    scope: 'x'.repeat(scopeBytes),
    audience: Array.from(
      { length: audienceEntries },
      (_, index) => fill(character, nameBytes - 2) + String(index + 10),
    ),
    confirmation: { jkt: text },
    metadata: { text: fill(character, metadataBytes - '{"text":""}'.length) },
    retryKey: 'x'.repeat(madeByCoreBytes),
    ...changes,
  })
  const amr = Array.from({ length: amrEntries }, () => text)
  return { ...record, grant: { ...record.grant, authTime: NOW - HOUR, acr: text, amr } }
}

async function longestWith(store: TokenStore, character: string): Promise<void> {
  const [first, second] = [longest('a', character), longest('b', character, { createdAt: NOW + 1 })]
  assertEqual(await store.create(first, NOW), first)
  assertEqual(await store.create(second, NOW), second)
  assertEqual(await store.find(first.id), first)
  const command = rotationOf(first, NOW + HOUR, { retryKey: 'y'.repeat(madeByCoreBytes) })
  const after = rotated(first, command)
  assertEqual(await store.rotate(command), after)

  const query = { subject: first.grant.subject, limit: 1, now: NOW + HOUR }
  const page = await store.list(query)
  assertEqual(page.items, [second])
  assert.ok(page.cursor !== null && Buffer.byteLength(page.cursor) <= cursorBytes, 'the cursor is too long')
  assertEqual((await store.list({ ...query, cursor: page.cursor })).items, [after])

  const revocation = revocationOf('a', { id: 'z'.repeat(madeByCoreBytes) })
  assertEqual(await store.revoke(first.id, revocation), { ...after, revocation })
}

async function longSubjectsApart(store: TokenStore): Promise<void> {
  const records = ['a', 'b', 'A', ' '].map((last, index) =>
    familyOf(String(index), { subject: 'x'.repeat(nameBytes - 1) + last }),
  )
  await Promise.all(records.map((record) => store.create(record, NOW)))
  for (const record of records)
    assertEqual(await store.list({ subject: record.grant.subject, limit: 10, now: NOW }), {
      items: [record],
      cursor: null,
    })
}

async function longKeysApart(store: TokenStore): Promise<void> {
  const claims = ['a', 'b', 'A'].map((last) => claimOf('x'.repeat(madeByCoreBytes - 1) + last, `caller ${last}`))
  for (const claim of claims) assert.equal(await store.claimOnce(claim, NOW), claim.owner)
  for (const claim of claims) assert.equal(await store.claimOnce(claimOf(claim.key, 'late'), NOW), claim.owner)
}

async function longestThroughCore(store: TokenStore): Promise<void> {
  const secrets = ['a secret of the test kit, of 32 bytes or more']
  const tokens = createRefreshTokens({ store, secrets, now: () => NOW })
  const { subject, clientId, scope, metadata } = longest('a', '😀').grant
  const audience = Array.from({ length: audienceEntries }, (_, index) =>
    `https://api.example/${String(index + 10)}`.padEnd(nameBytes, 'x'),
  )
  const confirmation = { jkt: 'x'.repeat(nameBytes) }
  const { refreshToken } = await tokens.issue({ subject, clientId, scope, audience, confirmation, metadata })
  const outcome = await tokens.rotate({ refreshToken, clientId, confirmation, idempotencyKey: 'x'.repeat(255) })
  assert.equal(outcome.ok && outcome.outcome, 'rotated')
  const [family] = (await tokens.list({ subject })).items
  assertEqual(
    { ...family, id: null },
    { ...family, id: null, generation: 1, subject, clientId, scope, audience, confirmation, metadata },
  )
  const once = { purpose: 'x'.repeat(nameBytes), key: 'x'.repeat(100_000), expiresAt: NOW + HOUR }
  assertEqual([await tokens.consumeOnce(once), await tokens.consumeOnce(once)], [true, false])
  assert.equal(await tokens.revokeSubject(subject), 1)
}
