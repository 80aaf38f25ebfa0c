import { describe, expect, it, vi } from 'vitest'
import type { LegacyGrant, LegacyTokenSource, RefreshTokensOptions } from '../../src/index.js'
import { toFamilyId, deriveLegacySeed } from '../../src/token/derive.js'
import {
  DAY,
  HOUR,
  KEY,
  MINUTE,
  NEW_SECRET,
  OLD_SECRET,
  SECOND,
  START,
  expectOk,
  type TestSetup,
  createSetup,
} from '../setup.js'

const LEGACY_TOKEN = 'a-token-of-the-old-system'
const LEGACY_EXPIRES_AT = START + 20 * DAY

/** A legacy system: its tokens, the tokens that were looked up and the tokens that were reported as migrated. */
function createLegacySystem(grants: Record<string, Partial<LegacyGrant>> = { [LEGACY_TOKEN]: {} }) {
  const rows = new Map(Object.entries(grants))
  const lookedUp: string[] = []
  const migrated: string[] = []
  const source: LegacyTokenSource = {
    lookup: async (token) => {
      lookedUp.push(token)
      const grant = rows.get(token)
      return grant === undefined ? null : { subject: 'alice', expiresAt: LEGACY_EXPIRES_AT, ...grant }
    },
    onMigrated: async (token, { id }) => {
      migrated.push(`${token} ${id}`)
      rows.delete(token)
    },
  }
  return { rows, lookedUp, migrated, source }
}

function createLegacySetup(options: Partial<RefreshTokensOptions> = {}, old = createLegacySystem()) {
  return { ...createSetup({ legacyTokens: old.source, ...options }), old }
}

const onlyRow = (setup: TestSetup) => {
  expect(setup.store.rows.size).toBe(1)
  return [...setup.store.rows.values()][0]!
}

describe('first use of a legacy token', () => {
  it('imports a legacy token into a family with the grant of the legacy system, in one write', async () => {
    const old = createLegacySystem({
      [LEGACY_TOKEN]: {
        clientId: 'app',
        scope: 'a b',
        audience: ['https://one'],
        offline: true,
        metadata: { from: 'before' },
        createdAt: START - 3 * DAY,
      },
    })
    const setup = createLegacySetup({}, old)
    const first = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, clientId: 'app' }))
    expect(first).toMatchObject({ outcome: 'imported', scope: 'a b', audience: ['https://one'] })
    expect(first.family).toMatchObject({
      generation: 1,
      subject: 'alice',
      clientId: 'app',
      offline: true,
      metadata: { from: 'before' },
      createdAt: START - 3 * DAY,
      absoluteExpiresAt: START + 362 * DAY,
      expiresAt: START + 90 * DAY,
    })
    expect(setup.store.calls).toEqual(['find', 'create'])
    expect(setup.events).toMatchObject([
      { type: 'imported', familyId: first.family.id, subject: 'alice', generation: 1 },
    ])
    expect(old.migrated).toEqual([`${LEGACY_TOKEN} ${first.family.id}`])
    const second = expectOk(await setup.tokens.rotate({ refreshToken: first.refreshToken, clientId: 'app' }))
    expect(second).toMatchObject({ outcome: 'rotated', family: { id: first.family.id, generation: 2 } })
  })

  it('stores nothing from which the legacy token or a valid token could be derived', async () => {
    const setup = createLegacySetup()
    const { refreshToken } = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    const stored = JSON.stringify([...setup.store.rows])
    const { handle, secret } = deriveLegacySeed(LEGACY_TOKEN)
    const spellings = [handle, secret].flatMap((bytes) =>
      (['base64url', 'base64', 'hex'] as const).map((as) => Buffer.from(bytes).toString(as)),
    )
    for (const text of [LEGACY_TOKEN, refreshToken, ...spellings]) expect(stored).not.toContain(text)
    expect(JSON.stringify(setup.events)).not.toContain(LEGACY_TOKEN)
  })

  it('derives the family id from the legacy token alone, independent of the secrets (golden vector)', () => {
    expect(toFamilyId(deriveLegacySeed(LEGACY_TOKEN).handle)).toBe('jxcvTLOOMjDMNXstcshuag')
    expect(Buffer.from(deriveLegacySeed(LEGACY_TOKEN).secret).toString('base64url')).toBe(
      '2rRCBFKfQqSnEdfkH2D5LgZteZTv7fij',
    )
  })

  it('counts the absolute limit from the first use if the legacy system returns no createdAt', async () => {
    const setup = createLegacySetup()
    const { family } = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(family).toMatchObject({ createdAt: START, absoluteExpiresAt: START + 90 * DAY })
  })

  it('applies the absolute expiry that the legacy system returns', async () => {
    const setup = createLegacySetup({}, createLegacySystem({ [LEGACY_TOKEN]: { absoluteExpiresAt: START + DAY } }))
    const { family } = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(family).toMatchObject({ expiresAt: START + DAY, absoluteExpiresAt: START + DAY })
  })

  it('exchanges a legacy token although rotation is off, because it cannot be renewed', async () => {
    const setup = createLegacySetup({ policy: { rotation: 'never' } })
    const first = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, confidential: true }))
    expect(first.outcome).toBe('imported')
    const again = expectOk(await setup.tokens.rotate({ refreshToken: first.refreshToken, confidential: true }))
    expect(again).toMatchObject({ outcome: 'renewed', refreshToken: first.refreshToken })
  })

  it('calls the hooks first and does not import a legacy token if one of them throws or rejects', async () => {
    const beforeRotate = vi.fn(async () => ({ active: false }))
    const setup = createLegacySetup({ beforeRotate })
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toMatchObject({ reason: 'inactive' })
    beforeRotate.mockResolvedValue({ active: true })
    await expect(
      setup.tokens.rotate({
        refreshToken: LEGACY_TOKEN,
        beforeCommit: () => Promise.reject(new Error('no signing service')),
      }),
    ).rejects.toMatchObject({ code: 'hook_failed' })
    expect(setup.store.rows.size).toBe(0)
    const { prepared, outcome } = expectOk(
      await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, beforeCommit: async ({ family }) => family.subject }),
    )
    expect([outcome, prepared]).toEqual(['imported', 'alice'])
  })
})

describe('retries and reuse of a legacy token', () => {
  it.each([1, 2, 50])(
    'creates one family for %i concurrent uses of a legacy token and returns the same first token to all',
    async (count) => {
      const setup = createLegacySetup()
      const outcomes = await Promise.all(
        Array.from({ length: count }, () => setup.instance().rotate({ refreshToken: LEGACY_TOKEN })),
      )
      expect(new Set(outcomes.map((outcome) => expectOk(outcome).refreshToken)).size).toBe(1)
      expect(outcomes.filter((outcome) => expectOk(outcome).outcome === 'imported')).toHaveLength(1)
      expect(onlyRow(setup)).toMatchObject({ current: { generation: 1 }, revocation: null })
      expect(setup.eventTypes().sort()).toEqual(['imported', ...Array<string>(count - 1).fill('retried')])
    },
  )

  it('returns the identical token within the grace window although the legacy system has deleted the legacy token', async () => {
    const setup = createLegacySetup()
    const first = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(setup.old.rows.size).toBe(0)
    setup.advance(29 * SECOND)
    const again = expectOk(await setup.instance().rotate({ refreshToken: LEGACY_TOKEN }))
    expect(again).toMatchObject({ outcome: 'retried', refreshToken: first.refreshToken })
    expect(setup.old.lookedUp).toHaveLength(1)
  })

  it('returns the identical token hours later for the Idempotency-Key of the first use', async () => {
    const setup = createLegacySetup()
    const first = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, idempotencyKey: KEY }))
    setup.advance(5 * HOUR)
    const again = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, idempotencyKey: KEY }))
    expect(again.refreshToken).toBe(first.refreshToken)
    expect(setup.events.at(-1)).toMatchObject({ type: 'retried', by: 'idempotency_key' })
  })

  it('revokes the family as reuse if the legacy token is used after the grace window', async () => {
    const setup = createLegacySetup()
    const first = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    setup.advance(30 * SECOND)
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'reuse' })
    expect(await setup.tokens.rotate({ refreshToken: first.refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect(setup.events.filter(({ type }) => type === 'reuse')).toMatchObject([{ presentedGeneration: 0 }])
  })

  it('reports reuse if the legacy token is used after its successor, even within the grace window', async () => {
    const setup = createLegacySetup()
    const first = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expectOk(await setup.tokens.rotate({ refreshToken: first.refreshToken }))
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('calls onMigrated again for a retry, because the first call may have failed', async () => {
    const setup = createLegacySetup()
    await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })
    await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })
    expect(setup.old.migrated).toHaveLength(2)
    expect(new Set(setup.old.migrated).size).toBe(1)
  })

  it('returns a retry if a concurrent call imports and deletes the legacy token during the lookup', async () => {
    const old = createLegacySystem()
    let otherCall: Promise<unknown> = Promise.resolve()
    const setup = createLegacySetup(
      {
        legacyTokens: {
          lookup: async () => {
            otherCall = setup.instance({ legacyTokens: old.source }).rotate({ refreshToken: LEGACY_TOKEN })
            await otherCall
            return null
          },
        },
      },
      old,
    )
    const late = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(late.outcome).toBe('retried')
    expect(await otherCall).toMatchObject({ refreshToken: late.refreshToken })
  })

  it('returns the stored family if two concurrent lookups return different grants', async () => {
    const setup = createLegacySetup({}, createLegacySystem({ [LEGACY_TOKEN]: { createdAt: START - DAY } }))
    const slow = setup.instance({
      legacyTokens: {
        lookup: async (token) => {
          await setup.tokens.rotate({ refreshToken: token })
          return {
            subject: 'alice',
            expiresAt: LEGACY_EXPIRES_AT,
            createdAt: START - 2 * DAY,
            confirmation: { jkt: 'mine' },
          }
        },
      },
    })
    const outcome = await slow.rotate({ refreshToken: LEGACY_TOKEN, confirmation: { jkt: 'mine' } })
    expect(expectOk(outcome)).toMatchObject({
      outcome: 'retried',
      family: { createdAt: START - DAY, confirmation: null },
    })
  })

  it('treats legacy tokens with the same normalized form as one token', async () => {
    const old = createLegacySystem({ [LEGACY_TOKEN]: {}, [LEGACY_TOKEN.toUpperCase()]: {} })
    const setup = createLegacySetup({ legacyTokens: { ...old.source, normalize: (token) => token.toLowerCase() } }, old)
    const first = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    const again = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN.toUpperCase() }))
    expect([again.outcome, again.refreshToken]).toEqual(['retried', first.refreshToken])
    setup.advance(MINUTE)
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN.toUpperCase() })).toMatchObject({ reason: 'reuse' })
    expect(setup.store.rows.size).toBe(1)
  })

  it('finds the family of a legacy token after a change of secrets', async () => {
    const setup = createLegacySetup()
    const first = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    const later = setup.instance({ secrets: [NEW_SECRET, OLD_SECRET] })
    expect(expectOk(await later.rotate({ refreshToken: LEGACY_TOKEN })).refreshToken).toBe(first.refreshToken)
    expect(setup.store.rows.size).toBe(1)
  })

  it.each(['before', 'after'] as const)('imports a legacy token once if the store fails %s the write', async (when) => {
    const setup = createLegacySetup()
    setup.store.failNext('create', { written: when === 'after' })
    await expect(setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).rejects.toMatchObject({ code: 'store_failed' })
    expect(setup.old.migrated).toEqual([])
    const again = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(again.outcome).toBe(when === 'after' ? 'retried' : 'imported')
    expect(setup.old.migrated).toHaveLength(1)
    expect(onlyRow(setup).current.generation).toBe(1)
  })

  it('emits one event if the driver executes the import twice, with and without a refresh in between', async () => {
    const setup = createLegacySetup()
    setup.store.executeTwice(['create'])
    expect(expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).outcome).toBe('imported')
    const other = createLegacySetup()
    other.store.executeTwice(['create'], async () => {
      const { refreshToken } = expectOk(await other.instance().rotate({ refreshToken: LEGACY_TOKEN }))
      await other.instance().rotate({ refreshToken })
    })
    expect(expectOk(await other.tokens.rotate({ refreshToken: LEGACY_TOKEN })).outcome).toBe('imported')
    expect(other.eventTypes().filter((type) => type === 'imported')).toHaveLength(1)
    expect(onlyRow(other).revocation).toBeNull()
  })
})

describe('one family per legacy token', () => {
  it('keeps the record of an ended family until a minute after the legacy token expires, to allow for clock skew', async () => {
    const setup = createLegacySetup({ policy: { idleSeconds: 60 } })
    await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })
    setup.old.rows.set(LEGACY_TOKEN, {})
    setup.advance(2 * MINUTE)
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'expired' })
    expect(await setup.tokens.purge()).toBe(0)
    setup.clock.now = LEGACY_EXPIRES_AT - 1
    expect(await setup.tokens.purge()).toBe(0)
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'expired' })
    setup.clock.now = LEGACY_EXPIRES_AT + MINUTE
    expect(await setup.tokens.purge()).toBe(1)
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'expired' })
    expect(setup.store.rows.size).toBe(0)
  })

  it('does not import a legacy token twice after a purge by an instance whose clock is ahead', async () => {
    const setup = createLegacySetup({ policy: { idleSeconds: 60 } })
    const { family } = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    await setup.tokens.revoke({ familyId: family.id })
    setup.old.rows.set(LEGACY_TOKEN, {})
    setup.clock.now = LEGACY_EXPIRES_AT - 1
    const ahead = setup.instance({ now: () => setup.clock.now + 30 * SECOND })
    await ahead.purge()
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('rejects a legacy token at its expiry as expired', async () => {
    const setup = createLegacySetup()
    setup.clock.now = LEGACY_EXPIRES_AT
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'expired' })
    setup.clock.now -= 1
    expect(expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).outcome).toBe('imported')
  })

  it('keeps the family active after the legacy token has expired', async () => {
    const setup = createLegacySetup()
    const { refreshToken } = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    setup.clock.now = LEGACY_EXPIRES_AT + DAY
    expect(expectOk(await setup.tokens.rotate({ refreshToken })).outcome).toBe('rotated')
  })
})

describe('validAfter and imported tokens', () => {
  const unknownAge = () => createLegacySetup()
  const known = (createdAt: number) => createLegacySetup({}, createLegacySystem({ [LEGACY_TOKEN]: { createdAt } }))
  // A legacy token of unknown age may have been issued before this instant.
  const validAfter = START - 30 * DAY

  it('rejects an imported token of unknown age where the client has a validAfter', async () => {
    const setup = unknownAge()
    const outcome = await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, validAfter })
    expect(outcome).toEqual({ ok: false, reason: 'superseded' })
    expect(setup.store.rows.size).toBe(0)
  })

  it('rejects an imported token of unknown age where beforeRotate returns a validAfter', async () => {
    const setup = createLegacySetup({ beforeRotate: async () => ({ active: true, validAfter }) })
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'superseded' })
    expect(setup.store.rows.size).toBe(0)
  })

  it('accepts an imported token of known age, and the family of one that was imported before', async () => {
    const setup = known(validAfter)
    expect(expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, validAfter })).outcome).toBe('imported')
    const other = unknownAge()
    const { refreshToken } = expectOk(await other.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(expectOk(await other.tokens.rotate({ refreshToken: LEGACY_TOKEN, validAfter })).outcome).toBe('retried')
    expect(expectOk(await other.tokens.rotate({ refreshToken, validAfter })).outcome).toBe('rotated')
  })

  it('rejects an imported token that is older than the validAfter', async () => {
    const setup = known(validAfter - SECOND)
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, validAfter })).toEqual({
      ok: false,
      reason: 'superseded',
    })
  })
})

describe('rejected legacy tokens', () => {
  it.each([
    ['a token that the legacy system does not know', { refreshToken: 'another' }, 'malformed'],
    ['another client', { refreshToken: LEGACY_TOKEN, clientId: 'another' }, 'mismatch'],
    ['a client whose validAfter is later', { refreshToken: LEGACY_TOKEN, validAfter: START + DAY }, 'superseded'],
    ['a scope that was not granted', { refreshToken: LEGACY_TOKEN, scope: 'all' }, 'invalid_scope'],
    ['another family than expected', { refreshToken: LEGACY_TOKEN, familyId: 'x' }, 'other_family'],
    ['too many requests', { refreshToken: LEGACY_TOKEN, checkRateLimit: async () => false }, 'rate_limited'],
  ])('stores nothing and does not consume the legacy token for %s', async (_name, request, reason) => {
    const setup = createLegacySetup()
    expect(await setup.tokens.rotate(request)).toMatchObject({ ok: false, reason })
    expect(setup.store.rows.size).toBe(0)
    expect(setup.old.migrated).toEqual([])
    expect(expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).outcome).toBe('imported')
  })

  it('imports a bound legacy token only with the proof of its key', async () => {
    const setup = createLegacySetup({}, createLegacySystem({ [LEGACY_TOKEN]: { confirmation: { jkt: 'mine' } } }))
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toMatchObject({ reason: 'mismatch' })
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, confirmation: { jkt: 'x' } })).toMatchObject({
      reason: 'mismatch',
    })
    expect(setup.store.rows.size).toBe(0)
    const first = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN, confirmation: { jkt: 'mine' } }))
    expect(await setup.tokens.rotate({ refreshToken: first.refreshToken })).toMatchObject({ reason: 'mismatch' })
  })

  it('looks up neither text that normalize rejects nor tokens of Baton', async () => {
    const old = createLegacySystem()
    const identify = vi.fn((token: string) => (token.startsWith('a-') ? token : null))
    const setup = createLegacySetup({ legacyTokens: { ...old.source, normalize: identify } }, old)
    const { refreshToken } = await setup.tokens.issue({ subject: 'bob' })
    setup.clearRecords()
    await setup.tokens.rotate({ refreshToken })
    expect(identify).not.toHaveBeenCalled()
    setup.clearRecords()
    for (const unusual of ['b-', '', 'a-\u0000', 'a-é', 'a-'.repeat(5000), undefined, null, ['a-']])
      expect(await setup.tokens.rotate({ refreshToken: unusual as string })).toEqual({ ok: false, reason: 'malformed' })
    expect([setup.store.calls, old.lookedUp]).toEqual([[], []])
  })
})

describe('failures of the legacy system', () => {
  const grant = (given: Partial<LegacyGrant>): LegacyGrant => ({
    subject: 'alice',
    expiresAt: LEGACY_EXPIRES_AT,
    ...given,
  })

  it.each([
    ['rejects', () => Promise.reject(new Error('connection refused')), /^connection refused$/],
    ['returns nothing', async () => undefined as never, /^option "legacyTokens\.lookup" /],
    [
      'returns seconds',
      async () => grant({ expiresAt: LEGACY_EXPIRES_AT / 1000 }),
      /^option "legacyTokens\.lookup\.expiresAt" .*by 1000/,
    ],
    [
      'returns microseconds',
      async () => grant({ expiresAt: LEGACY_EXPIRES_AT * 1000 }),
      /^option "legacyTokens\.lookup\.expiresAt" /,
    ],
    [
      'returns a Date',
      async () => grant({ expiresAt: new Date() as never }),
      /^option "legacyTokens\.lookup\.expiresAt" /,
    ],
    ['returns no expiry', async () => ({ subject: 'alice' }) as never, /^option "legacyTokens\.lookup\.expiresAt" /],
    ['returns no subject', async () => grant({ subject: '' }), /^option "legacyTokens\.lookup\.subject" /],
    ['returns an invalid scope', async () => grant({ scope: '"' }), /^option "legacyTokens\.lookup\.scope" /],
    [
      'returns createdAt in seconds',
      async () => grant({ createdAt: START / 1000 }),
      /^option "legacyTokens\.lookup\.createdAt" /,
    ],
    [
      'returns absoluteExpiresAt in seconds',
      async () => grant({ absoluteExpiresAt: LEGACY_EXPIRES_AT / 1000 }),
      /^option "legacyTokens\.lookup\.absoluteExpiresAt" /,
    ],
  ] satisfies [string, LegacyTokenSource['lookup'], RegExp][])(
    'throws an OperationalError if the lookup %s, and the legacy token remains valid',
    async (_name, find, why) => {
      const setup = createLegacySetup({ legacyTokens: { lookup: find } })
      await expect(setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).rejects.toMatchObject({
        code: 'hook_failed',
        cause: { message: expect.stringMatching(why) },
      })
      expect(setup.events).toMatchObject([{ type: 'fault', operation: 'legacyTokens.lookup', code: 'hook_failed' }])
      expect(setup.store.rows.size).toBe(0)
      expect(
        expectOk(await setup.instance({ legacyTokens: setup.old.source }).rotate({ refreshToken: LEGACY_TOKEN })).ok,
      ).toBe(true)
    },
  )

  it.each([undefined, '', 1, true])('throws an OperationalError if normalize returns %s', async (identity) => {
    const setup = createLegacySetup({
      legacyTokens: { ...createLegacySystem().source, normalize: () => identity as never },
    })
    await expect(setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).rejects.toMatchObject({
      code: 'hook_failed',
      cause: { message: expect.stringMatching(/^option "legacyTokens\.normalize" must return text or null/) },
    })
    expect(setup.events).toMatchObject([{ type: 'fault', operation: 'legacyTokens.normalize' }])
    expect(setup.store.calls).toEqual([])
  })

  it('imports a legacy token although onMigrated rejects or never settles', async () => {
    const old = createLegacySystem()
    for (const migrated of [() => Promise.reject(new Error('read only')), () => new Promise(() => undefined)]) {
      const setup = createLegacySetup({ legacyTokens: { ...old.source, onMigrated: migrated } }, createLegacySystem())
      expect(expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).outcome).toBe('imported')
      expect(expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).outcome).toBe('retried')
    }
    const setup = createLegacySetup({
      legacyTokens: { ...old.source, onMigrated: () => Promise.reject(new Error('read only')) },
    })
    await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })
    await expect.poll(() => setup.events.at(-1)).toMatchObject({ type: 'fault', operation: 'legacyTokens.onMigrated' })
  })

  it('imports a legacy token without a fault event if the option onMigrated is missing', async () => {
    const { lookup } = createLegacySystem().source
    const setup = createLegacySetup({ legacyTokens: { lookup } })
    expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(setup.eventTypes()).toEqual(['imported'])
  })

  it('does not look up a token of Baton under an unknown secret in the legacy system', async () => {
    const otherInstance = createSetup({ secrets: [NEW_SECRET] })
    const { refreshToken } = await otherInstance.tokens.issue({ subject: 'alice' })
    const setup = createLegacySetup({ secrets: [OLD_SECRET] })
    expect(await setup.tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'unknown_key' })
    expect(setup.old.lookedUp).toEqual([])
  })

  const lookup: LegacyTokenSource['lookup'] = async () => null

  it.each([
    ['legacyTokens', null, /^option "legacyTokens" must be an object/],
    ['legacyTokens.lookup', {}, /^option "legacyTokens\.lookup" is missing; it must be a function/],
    ['legacyTokens.lookups', { lookup, lookups: 1 }, /^option "legacyTokens\.lookups" is not an option/],
    ['legacyTokens.onMigrated', { lookup, onMigrated: 'yes' }, /^option "legacyTokens\.onMigrated" must be a function/],
    ['legacyTokens.normalize', { lookup, normalize: /x/ }, /^option "legacyTokens\.normalize" must be a function/],
  ])('throws a ConfigurationError for an invalid option %s', (_option, source, message) => {
    expect(() => createSetup({ legacyTokens: source as never })).toThrow(message)
  })
})

describe('revoking and inspecting legacy tokens', () => {
  it('inspects a legacy token without importing it', async () => {
    const setup = createLegacySetup({}, createLegacySystem({ [LEGACY_TOKEN]: { scope: 'a' } }))
    expect(await setup.tokens.inspect(LEGACY_TOKEN)).toMatchObject({
      active: true,
      family: { subject: 'alice', scope: 'a' },
    })
    expect(await setup.tokens.inspect('another')).toEqual({ active: false, reason: 'malformed' })
    expect([setup.store.rows.size, setup.old.migrated, setup.events]).toEqual([0, [], []])
    await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })
    expect(await setup.tokens.inspect(LEGACY_TOKEN)).toMatchObject({ active: true, family: { generation: 1 } })
    setup.advance(MINUTE)
    expect(await setup.tokens.inspect(LEGACY_TOKEN)).toEqual({ active: false, reason: 'reuse' })
  })

  it('revokes an unused legacy token permanently and emits one event', async () => {
    const setup = createLegacySetup()
    const ended = await setup.tokens.revoke({ refreshToken: LEGACY_TOKEN, clientId: 'first-party' })
    expect(ended).toMatchObject({ ok: true, ended: true })
    setup.old.rows.set(LEGACY_TOKEN, {})
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'revoked' })
    expect(await setup.tokens.revoke({ refreshToken: LEGACY_TOKEN })).toMatchObject({ ok: true, ended: false })
    expect(setup.eventTypes()).toEqual(['revoked', 'rejected'])
    expect(setup.old.migrated).toHaveLength(2)
    setup.advance(DAY)
    expect(await setup.tokens.purge()).toBe(0)
  })

  it('revokes the family of an imported legacy token within the window and later, without reporting reuse', async () => {
    for (const wait of [0, DAY]) {
      const setup = createLegacySetup()
      const { refreshToken } = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
      setup.advance(wait)
      expect(await setup.tokens.revoke({ refreshToken: LEGACY_TOKEN })).toMatchObject({ ok: true, ended: true })
      expect(await setup.tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
      expect(setup.eventTypes()).not.toContain('reuse')
    }
  })

  it('revokes a family that a concurrent exchange imports', async () => {
    const setup = createLegacySetup()
    setup.store.beforeNext('create', () => setup.instance().rotate({ refreshToken: LEGACY_TOKEN }))
    expect(await setup.tokens.revoke({ refreshToken: LEGACY_TOKEN })).toMatchObject({ ok: true, ended: true })
    expect(onlyRow(setup)).toMatchObject({ current: { generation: 1 }, revocation: { reason: 'client_request' } })
  })

  it('rejects the revocation of a legacy token by another client', async () => {
    const setup = createLegacySetup()
    const outcome = await setup.tokens.revoke({ refreshToken: LEGACY_TOKEN, clientId: 'another' })
    expect(outcome).toEqual({ ok: false, reason: 'mismatch' })
    expect(setup.store.rows.size).toBe(0)
  })

  it('revokes the imported families of a subject too', async () => {
    const setup = createLegacySetup()
    const { refreshToken } = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(await setup.tokens.revokeSubject('alice')).toBe(1)
    expect(await setup.tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN })).toEqual({ ok: false, reason: 'revoked' })
  })
})

describe('legacyOnly', () => {
  it('rejects every token of Baton as malformed, and changes nothing', async () => {
    const setup = createLegacySetup()
    const { refreshToken: first, family } = await setup.tokens.issue({ subject: 'alice' })
    const { refreshToken: current } = expectOk(await setup.tokens.rotate({ refreshToken: first }))
    const underAnotherKey = createLegacySetup({ secrets: [OLD_SECRET] })
    const { refreshToken: unknown } = await underAnotherKey.tokens.issue({ subject: 'alice' })
    const events = setup.events.length
    for (const refreshToken of [first, current, unknown]) {
      const malformed = { ok: false, reason: 'malformed' }
      expect(await setup.tokens.rotate({ refreshToken, legacyOnly: true })).toEqual(malformed)
      expect(await setup.tokens.revoke({ refreshToken, legacyOnly: true })).toEqual(malformed)
      expect(await setup.tokens.inspect(refreshToken, { legacyOnly: true })).toEqual({
        active: false,
        reason: 'malformed',
      })
    }
    expect(setup.old.lookedUp).toEqual([])
    expect(setup.events.slice(events).filter(({ type }) => type !== 'rejected')).toEqual([])
    expect(await setup.tokens.find(family.id)).toMatchObject({ generation: 1 })
  })

  it('accepts a legacy token before and after its import', async () => {
    const setup = createLegacySetup()
    const request = { refreshToken: LEGACY_TOKEN, legacyOnly: true }
    expect(await setup.tokens.inspect(LEGACY_TOKEN, { legacyOnly: true })).toMatchObject({ active: true })
    const { refreshToken } = expectOk(await setup.tokens.rotate(request))
    expect(expectOk(await setup.tokens.rotate(request)).refreshToken).toBe(refreshToken)
    expect(await setup.tokens.revoke(request)).toMatchObject({ ok: true, ended: true })
  })
})
