import { describe, expect, it, vi } from 'vitest'
import type { LegacyGrant, LegacyTokenSource, RefreshTokensOptions } from '../src/index.js'
import { toFamilyId, deriveLegacySeed } from '../src/token/derive.js'
import { DAY, HOUR, KEY, MINUTE, NEW_SECRET, OLD_SECRET, SECOND, START, succeeded, type World, world } from './world.js'

const FOREIGN = 'a-token-of-the-old-system'
const FOREIGN_END = START + 20 * DAY

/** A legacy system: its tokens, the tokens that were looked up and the tokens that were reported as migrated. */
function oldSystem(grants: Record<string, Partial<LegacyGrant>> = { [FOREIGN]: {} }) {
  const rows = new Map(Object.entries(grants))
  const asked: string[] = []
  const moved: string[] = []
  const source: LegacyTokenSource = {
    lookup: async (token) => {
      asked.push(token)
      const grant = rows.get(token)
      return grant === undefined ? null : { subject: 'alice', expiresAt: FOREIGN_END, ...grant }
    },
    onMigrated: async (token, { id }) => {
      moved.push(`${token} ${id}`)
      rows.delete(token)
    },
  }
  return { rows, asked, moved, source }
}

function migrating(options: Partial<RefreshTokensOptions> = {}, old = oldSystem()) {
  return { ...world({ legacyTokens: old.source, ...options }), old }
}

const onlyRow = (here: World) => {
  expect(here.store.rows.size).toBe(1)
  return [...here.store.rows.values()][0]!
}

describe('first use of a legacy token', () => {
  it('imports a legacy token into a family with the grant of the legacy system, in one write', async () => {
    const old = oldSystem({
      [FOREIGN]: {
        clientId: 'app',
        scope: 'a b',
        audience: ['https://one'],
        offline: true,
        metadata: { from: 'before' },
        createdAt: START - 3 * DAY,
      },
    })
    const here = migrating({}, old)
    const first = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN, clientId: 'app' }))
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
    expect(here.store.calls).toEqual(['find', 'create'])
    expect(here.events).toMatchObject([
      { type: 'imported', familyId: first.family.id, subject: 'alice', generation: 1 },
    ])
    expect(old.moved).toEqual([`${FOREIGN} ${first.family.id}`])
    const second = succeeded(await here.tokens.rotate({ refreshToken: first.refreshToken, clientId: 'app' }))
    expect(second).toMatchObject({ outcome: 'rotated', family: { id: first.family.id, generation: 2 } })
  })

  it('stores nothing from which the legacy token or a valid token could be derived', async () => {
    const here = migrating()
    const { refreshToken } = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    const stored = JSON.stringify([...here.store.rows])
    const { handle, secret } = deriveLegacySeed(FOREIGN)
    const spellings = [handle, secret].flatMap((bytes) =>
      (['base64url', 'base64', 'hex'] as const).map((as) => Buffer.from(bytes).toString(as)),
    )
    for (const text of [FOREIGN, refreshToken, ...spellings]) expect(stored).not.toContain(text)
    expect(JSON.stringify(here.events)).not.toContain(FOREIGN)
  })

  it('derives the family id from the legacy token alone, independent of the secrets (golden vector)', () => {
    expect(toFamilyId(deriveLegacySeed(FOREIGN).handle)).toBe('jxcvTLOOMjDMNXstcshuag')
    expect(Buffer.from(deriveLegacySeed(FOREIGN).secret).toString('base64url')).toBe('2rRCBFKfQqSnEdfkH2D5LgZteZTv7fij')
  })

  it('counts the absolute limit from the first use if the legacy system returns no createdAt', async () => {
    const here = migrating()
    const { family } = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    expect(family).toMatchObject({ createdAt: START, absoluteExpiresAt: START + 90 * DAY })
  })

  it('applies the absolute expiry that the legacy system returns', async () => {
    const here = migrating({}, oldSystem({ [FOREIGN]: { absoluteExpiresAt: START + DAY } }))
    const { family } = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    expect(family).toMatchObject({ expiresAt: START + DAY, absoluteExpiresAt: START + DAY })
  })

  it('exchanges a legacy token although rotation is off, because it cannot be renewed', async () => {
    const here = migrating({ policy: { rotation: 'never' } })
    const first = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN, confidential: true }))
    expect(first.outcome).toBe('imported')
    const again = succeeded(await here.tokens.rotate({ refreshToken: first.refreshToken, confidential: true }))
    expect(again).toMatchObject({ outcome: 'renewed', refreshToken: first.refreshToken })
  })

  it('calls the hooks first and does not import a legacy token if one of them throws or rejects', async () => {
    const beforeRotate = vi.fn(async () => ({ active: false }))
    const here = migrating({ beforeRotate })
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toMatchObject({ reason: 'inactive' })
    beforeRotate.mockResolvedValue({ active: true })
    await expect(
      here.tokens.rotate({
        refreshToken: FOREIGN,
        beforeCommit: () => Promise.reject(new Error('no signing service')),
      }),
    ).rejects.toMatchObject({ code: 'hook_failed' })
    expect(here.store.rows.size).toBe(0)
    const { prepared, outcome } = succeeded(
      await here.tokens.rotate({ refreshToken: FOREIGN, beforeCommit: async ({ family }) => family.subject }),
    )
    expect([outcome, prepared]).toEqual(['imported', 'alice'])
  })
})

describe('retries and reuse of a legacy token', () => {
  it.each([1, 2, 50])(
    'creates one family for %i concurrent uses of a legacy token and returns the same first token to all',
    async (count) => {
      const here = migrating()
      const outcomes = await Promise.all(
        Array.from({ length: count }, () => here.instance().rotate({ refreshToken: FOREIGN })),
      )
      expect(new Set(outcomes.map((outcome) => succeeded(outcome).refreshToken)).size).toBe(1)
      expect(outcomes.filter((outcome) => succeeded(outcome).outcome === 'imported')).toHaveLength(1)
      expect(onlyRow(here)).toMatchObject({ current: { generation: 1 }, revocation: null })
      expect(here.typesSeen().sort()).toEqual(['imported', ...Array<string>(count - 1).fill('retried')])
    },
  )

  it('returns the identical token within the grace window although the legacy system has deleted the legacy token', async () => {
    const here = migrating()
    const first = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    expect(here.old.rows.size).toBe(0)
    here.advance(29 * SECOND)
    const again = succeeded(await here.instance().rotate({ refreshToken: FOREIGN }))
    expect(again).toMatchObject({ outcome: 'retried', refreshToken: first.refreshToken })
    expect(here.old.asked).toHaveLength(1)
  })

  it('returns the identical token hours later for the Idempotency-Key of the first use', async () => {
    const here = migrating()
    const first = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN, idempotencyKey: KEY }))
    here.advance(5 * HOUR)
    const again = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN, idempotencyKey: KEY }))
    expect(again.refreshToken).toBe(first.refreshToken)
    expect(here.events.at(-1)).toMatchObject({ type: 'retried', by: 'idempotency_key' })
  })

  it('revokes the family as reuse if the legacy token is used after the grace window', async () => {
    const here = migrating()
    const first = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    here.advance(30 * SECOND)
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'reuse' })
    expect(await here.tokens.rotate({ refreshToken: first.refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect(here.events.filter(({ type }) => type === 'reuse')).toMatchObject([{ presentedGeneration: 0 }])
  })

  it('reports reuse if the legacy token is used after its successor, even within the grace window', async () => {
    const here = migrating()
    const first = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    succeeded(await here.tokens.rotate({ refreshToken: first.refreshToken }))
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('calls onMigrated again for a retry, because the first call may have failed', async () => {
    const here = migrating()
    await here.tokens.rotate({ refreshToken: FOREIGN })
    await here.tokens.rotate({ refreshToken: FOREIGN })
    expect(here.old.moved).toHaveLength(2)
    expect(new Set(here.old.moved).size).toBe(1)
  })

  it('returns a retry if a concurrent call imports and deletes the legacy token during the lookup', async () => {
    const old = oldSystem()
    let otherCall: Promise<unknown> = Promise.resolve()
    const here = migrating(
      {
        legacyTokens: {
          lookup: async () => {
            otherCall = here.instance({ legacyTokens: old.source }).rotate({ refreshToken: FOREIGN })
            await otherCall
            return null
          },
        },
      },
      old,
    )
    const late = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    expect(late.outcome).toBe('retried')
    expect(await otherCall).toMatchObject({ refreshToken: late.refreshToken })
  })

  it('returns the stored family if two concurrent lookups return different grants', async () => {
    const here = migrating({}, oldSystem({ [FOREIGN]: { createdAt: START - DAY } }))
    const slow = here.instance({
      legacyTokens: {
        lookup: async (token) => {
          await here.tokens.rotate({ refreshToken: token })
          return { subject: 'alice', expiresAt: FOREIGN_END, createdAt: START - 2 * DAY, confirmation: { jkt: 'mine' } }
        },
      },
    })
    const outcome = await slow.rotate({ refreshToken: FOREIGN, confirmation: { jkt: 'mine' } })
    expect(succeeded(outcome)).toMatchObject({
      outcome: 'retried',
      family: { createdAt: START - DAY, confirmation: null },
    })
  })

  it('treats legacy tokens with the same normalized form as one token', async () => {
    const old = oldSystem({ [FOREIGN]: {}, [FOREIGN.toUpperCase()]: {} })
    const here = migrating({ legacyTokens: { ...old.source, normalize: (token) => token.toLowerCase() } }, old)
    const first = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    const again = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN.toUpperCase() }))
    expect([again.outcome, again.refreshToken]).toEqual(['retried', first.refreshToken])
    here.advance(MINUTE)
    expect(await here.tokens.rotate({ refreshToken: FOREIGN.toUpperCase() })).toMatchObject({ reason: 'reuse' })
    expect(here.store.rows.size).toBe(1)
  })

  it('finds the family of a legacy token after a change of secrets', async () => {
    const here = migrating()
    const first = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    const later = here.instance({ secrets: [NEW_SECRET, OLD_SECRET] })
    expect(succeeded(await later.rotate({ refreshToken: FOREIGN })).refreshToken).toBe(first.refreshToken)
    expect(here.store.rows.size).toBe(1)
  })

  it.each(['before', 'after'] as const)('imports a legacy token once if the store fails %s the write', async (when) => {
    const here = migrating()
    here.store.failNext('create', { written: when === 'after' })
    await expect(here.tokens.rotate({ refreshToken: FOREIGN })).rejects.toMatchObject({ code: 'store_failed' })
    expect(here.old.moved).toEqual([])
    const again = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    expect(again.outcome).toBe(when === 'after' ? 'retried' : 'imported')
    expect(here.old.moved).toHaveLength(1)
    expect(onlyRow(here).current.generation).toBe(1)
  })

  it('emits one event if the driver executes the import twice, with and without a refresh in between', async () => {
    const here = migrating()
    here.store.executeTwice(['create'])
    expect(succeeded(await here.tokens.rotate({ refreshToken: FOREIGN })).outcome).toBe('imported')
    const other = migrating()
    other.store.executeTwice(['create'], async () => {
      const { refreshToken } = succeeded(await other.instance().rotate({ refreshToken: FOREIGN }))
      await other.instance().rotate({ refreshToken })
    })
    expect(succeeded(await other.tokens.rotate({ refreshToken: FOREIGN })).outcome).toBe('imported')
    expect(other.typesSeen().filter((type) => type === 'imported')).toHaveLength(1)
    expect(onlyRow(other).revocation).toBeNull()
  })
})

describe('one family per legacy token', () => {
  it('keeps the record of an ended family until a minute after the legacy token expires, to allow for clock skew', async () => {
    const here = migrating({ policy: { idleSeconds: 60 } })
    await here.tokens.rotate({ refreshToken: FOREIGN })
    here.old.rows.set(FOREIGN, {})
    here.advance(2 * MINUTE)
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'expired' })
    expect(await here.tokens.purge()).toBe(0)
    here.clock.now = FOREIGN_END - 1
    expect(await here.tokens.purge()).toBe(0)
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'expired' })
    here.clock.now = FOREIGN_END + MINUTE
    expect(await here.tokens.purge()).toBe(1)
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'expired' })
    expect(here.store.rows.size).toBe(0)
  })

  it('does not import a legacy token twice after a purge by an instance whose clock is ahead', async () => {
    const here = migrating({ policy: { idleSeconds: 60 } })
    const { family } = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    await here.tokens.revoke({ familyId: family.id })
    here.old.rows.set(FOREIGN, {})
    here.clock.now = FOREIGN_END - 1
    const ahead = here.instance({ now: () => here.clock.now + 30 * SECOND })
    await ahead.purge()
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('rejects a legacy token at its expiry as expired', async () => {
    const here = migrating()
    here.clock.now = FOREIGN_END
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'expired' })
    here.clock.now -= 1
    expect(succeeded(await here.tokens.rotate({ refreshToken: FOREIGN })).outcome).toBe('imported')
  })

  it('keeps the family active after the legacy token has expired', async () => {
    const here = migrating()
    const { refreshToken } = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    here.clock.now = FOREIGN_END + DAY
    expect(succeeded(await here.tokens.rotate({ refreshToken })).outcome).toBe('rotated')
  })
})

describe('validAfter and imported tokens', () => {
  const unknownAge = () => migrating()
  const known = (createdAt: number) => migrating({}, oldSystem({ [FOREIGN]: { createdAt } }))
  // A legacy token of unknown age may have been issued before this instant.
  const validAfter = START - 30 * DAY

  it('rejects an imported token of unknown age where the client has a validAfter', async () => {
    const here = unknownAge()
    const outcome = await here.tokens.rotate({ refreshToken: FOREIGN, validAfter })
    expect(outcome).toEqual({ ok: false, reason: 'superseded' })
    expect(here.store.rows.size).toBe(0)
  })

  it('rejects an imported token of unknown age where beforeRotate returns a validAfter', async () => {
    const here = migrating({ beforeRotate: async () => ({ active: true, validAfter }) })
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'superseded' })
    expect(here.store.rows.size).toBe(0)
  })

  it('accepts an imported token of known age, and the family of one that was imported before', async () => {
    const here = known(validAfter)
    expect(succeeded(await here.tokens.rotate({ refreshToken: FOREIGN, validAfter })).outcome).toBe('imported')
    const other = unknownAge()
    const { refreshToken } = succeeded(await other.tokens.rotate({ refreshToken: FOREIGN }))
    expect(succeeded(await other.tokens.rotate({ refreshToken: FOREIGN, validAfter })).outcome).toBe('retried')
    expect(succeeded(await other.tokens.rotate({ refreshToken, validAfter })).outcome).toBe('rotated')
  })

  it('rejects an imported token that is older than the validAfter', async () => {
    const here = known(validAfter - SECOND)
    expect(await here.tokens.rotate({ refreshToken: FOREIGN, validAfter })).toEqual({ ok: false, reason: 'superseded' })
  })
})

describe('rejected legacy tokens', () => {
  it.each([
    ['a token that the legacy system does not know', { refreshToken: 'another' }, 'malformed'],
    ['another client', { refreshToken: FOREIGN, clientId: 'another' }, 'mismatch'],
    ['a client whose validAfter is later', { refreshToken: FOREIGN, validAfter: START + DAY }, 'superseded'],
    ['a scope that was not granted', { refreshToken: FOREIGN, scope: 'all' }, 'invalid_scope'],
    ['another family than expected', { refreshToken: FOREIGN, familyId: 'x' }, 'other_family'],
    ['too many requests', { refreshToken: FOREIGN, checkRateLimit: async () => false }, 'rate_limited'],
  ])('stores nothing and does not consume the legacy token for %s', async (_name, request, reason) => {
    const here = migrating()
    expect(await here.tokens.rotate(request)).toMatchObject({ ok: false, reason })
    expect(here.store.rows.size).toBe(0)
    expect(here.old.moved).toEqual([])
    expect(succeeded(await here.tokens.rotate({ refreshToken: FOREIGN })).outcome).toBe('imported')
  })

  it('imports a bound legacy token only with the proof of its key', async () => {
    const here = migrating({}, oldSystem({ [FOREIGN]: { confirmation: { jkt: 'mine' } } }))
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toMatchObject({ reason: 'mismatch' })
    expect(await here.tokens.rotate({ refreshToken: FOREIGN, confirmation: { jkt: 'x' } })).toMatchObject({
      reason: 'mismatch',
    })
    expect(here.store.rows.size).toBe(0)
    const first = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN, confirmation: { jkt: 'mine' } }))
    expect(await here.tokens.rotate({ refreshToken: first.refreshToken })).toMatchObject({ reason: 'mismatch' })
  })

  it('looks up neither text that normalize rejects nor tokens of Baton', async () => {
    const old = oldSystem()
    const identify = vi.fn((token: string) => (token.startsWith('a-') ? token : null))
    const here = migrating({ legacyTokens: { ...old.source, normalize: identify } }, old)
    const { refreshToken } = await here.tokens.issue({ subject: 'bob' })
    here.quiet()
    await here.tokens.rotate({ refreshToken })
    expect(identify).not.toHaveBeenCalled()
    here.quiet()
    for (const odd of ['b-', '', 'a-\u0000', 'a-é', 'a-'.repeat(5000), undefined, null, ['a-']])
      expect(await here.tokens.rotate({ refreshToken: odd as string })).toEqual({ ok: false, reason: 'malformed' })
    expect([here.store.calls, old.asked]).toEqual([[], []])
  })
})

describe('failures of the legacy system', () => {
  const grant = (given: Partial<LegacyGrant>): LegacyGrant => ({
    subject: 'alice',
    expiresAt: FOREIGN_END,
    ...given,
  })

  it.each([
    ['rejects', () => Promise.reject(new Error('connection refused')), /^connection refused$/],
    ['returns nothing', async () => undefined as never, /^option "legacyTokens\.lookup" /],
    [
      'returns seconds',
      async () => grant({ expiresAt: FOREIGN_END / 1000 }),
      /^option "legacyTokens\.lookup\.expiresAt" .*by 1000/,
    ],
    [
      'returns microseconds',
      async () => grant({ expiresAt: FOREIGN_END * 1000 }),
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
      async () => grant({ absoluteExpiresAt: FOREIGN_END / 1000 }),
      /^option "legacyTokens\.lookup\.absoluteExpiresAt" /,
    ],
  ] satisfies [string, LegacyTokenSource['lookup'], RegExp][])(
    'throws an OperationalError if the lookup %s, and the legacy token remains valid',
    async (_name, find, why) => {
      const here = migrating({ legacyTokens: { lookup: find } })
      await expect(here.tokens.rotate({ refreshToken: FOREIGN })).rejects.toMatchObject({
        code: 'hook_failed',
        cause: { message: expect.stringMatching(why) },
      })
      expect(here.events).toMatchObject([{ type: 'fault', operation: 'legacyTokens.lookup', code: 'hook_failed' }])
      expect(here.store.rows.size).toBe(0)
      expect(
        succeeded(await here.instance({ legacyTokens: here.old.source }).rotate({ refreshToken: FOREIGN })).ok,
      ).toBe(true)
    },
  )

  it.each([undefined, '', 1, true])('throws an OperationalError if normalize returns %s', async (identity) => {
    const here = migrating({ legacyTokens: { ...oldSystem().source, normalize: () => identity as never } })
    await expect(here.tokens.rotate({ refreshToken: FOREIGN })).rejects.toMatchObject({
      code: 'hook_failed',
      cause: { message: expect.stringMatching(/^option "legacyTokens\.normalize" must return text or null/) },
    })
    expect(here.events).toMatchObject([{ type: 'fault', operation: 'legacyTokens.normalize' }])
    expect(here.store.calls).toEqual([])
  })

  it('imports a legacy token although onMigrated rejects or never settles', async () => {
    const old = oldSystem()
    for (const moved of [() => Promise.reject(new Error('read only')), () => new Promise(() => undefined)]) {
      const here = migrating({ legacyTokens: { ...old.source, onMigrated: moved } }, oldSystem())
      expect(succeeded(await here.tokens.rotate({ refreshToken: FOREIGN })).outcome).toBe('imported')
      expect(succeeded(await here.tokens.rotate({ refreshToken: FOREIGN })).outcome).toBe('retried')
    }
    const here = migrating({
      legacyTokens: { ...old.source, onMigrated: () => Promise.reject(new Error('read only')) },
    })
    await here.tokens.rotate({ refreshToken: FOREIGN })
    await vi.waitFor(() => {
      expect(here.events.at(-1)).toMatchObject({ type: 'fault', operation: 'legacyTokens.onMigrated' })
    })
  })

  it('imports a legacy token without a fault event if the option onMigrated is missing', async () => {
    const { lookup } = oldSystem().source
    const here = migrating({ legacyTokens: { lookup } })
    succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    expect(here.typesSeen()).toEqual(['imported'])
  })

  it('does not look up a token of Baton under an unknown secret in the legacy system', async () => {
    const elsewhere = world({ secrets: [NEW_SECRET] })
    const { refreshToken } = await elsewhere.tokens.issue({ subject: 'alice' })
    const here = migrating({ secrets: [OLD_SECRET] })
    expect(await here.tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'unknown_key' })
    expect(here.old.asked).toEqual([])
  })

  const lookup: LegacyTokenSource['lookup'] = async () => null

  it.each([
    ['legacyTokens', null, /^option "legacyTokens" must be an object/],
    ['legacyTokens.lookup', {}, /^option "legacyTokens\.lookup" is missing; it must be a function/],
    ['legacyTokens.lookups', { lookup, lookups: 1 }, /^option "legacyTokens\.lookups" is not an option/],
    ['legacyTokens.onMigrated', { lookup, onMigrated: 'yes' }, /^option "legacyTokens\.onMigrated" must be a function/],
    ['legacyTokens.normalize', { lookup, normalize: /x/ }, /^option "legacyTokens\.normalize" must be a function/],
  ])('throws a ConfigurationError for an invalid option %s', (_option, source, message) => {
    expect(() => world({ legacyTokens: source as never })).toThrow(message)
  })
})

describe('revoking and inspecting legacy tokens', () => {
  it('inspects a legacy token without importing it', async () => {
    const here = migrating({}, oldSystem({ [FOREIGN]: { scope: 'a' } }))
    expect(await here.tokens.inspect(FOREIGN)).toMatchObject({ active: true, family: { subject: 'alice', scope: 'a' } })
    expect(await here.tokens.inspect('another')).toEqual({ active: false, reason: 'malformed' })
    expect([here.store.rows.size, here.old.moved, here.events]).toEqual([0, [], []])
    await here.tokens.rotate({ refreshToken: FOREIGN })
    expect(await here.tokens.inspect(FOREIGN)).toMatchObject({ active: true, family: { generation: 1 } })
    here.advance(MINUTE)
    expect(await here.tokens.inspect(FOREIGN)).toEqual({ active: false, reason: 'reuse' })
  })

  it('revokes an unused legacy token permanently and emits one event', async () => {
    const here = migrating()
    const ended = await here.tokens.revoke({ refreshToken: FOREIGN, clientId: 'first-party' })
    expect(ended).toMatchObject({ ok: true, ended: true })
    here.old.rows.set(FOREIGN, {})
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'revoked' })
    expect(await here.tokens.revoke({ refreshToken: FOREIGN })).toMatchObject({ ok: true, ended: false })
    expect(here.typesSeen()).toEqual(['revoked', 'rejected'])
    expect(here.old.moved).toHaveLength(2)
    here.advance(DAY)
    expect(await here.tokens.purge()).toBe(0)
  })

  it('revokes the family of an imported legacy token within the window and later, without reporting reuse', async () => {
    for (const wait of [0, DAY]) {
      const here = migrating()
      const { refreshToken } = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
      here.advance(wait)
      expect(await here.tokens.revoke({ refreshToken: FOREIGN })).toMatchObject({ ok: true, ended: true })
      expect(await here.tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
      expect(here.typesSeen()).not.toContain('reuse')
    }
  })

  it('revokes a family that a concurrent exchange imports', async () => {
    const here = migrating()
    here.store.beforeNext('create', () => here.instance().rotate({ refreshToken: FOREIGN }))
    expect(await here.tokens.revoke({ refreshToken: FOREIGN })).toMatchObject({ ok: true, ended: true })
    expect(onlyRow(here)).toMatchObject({ current: { generation: 1 }, revocation: { reason: 'client_request' } })
  })

  it('rejects the revocation of a legacy token by another client', async () => {
    const here = migrating()
    const outcome = await here.tokens.revoke({ refreshToken: FOREIGN, clientId: 'another' })
    expect(outcome).toEqual({ ok: false, reason: 'mismatch' })
    expect(here.store.rows.size).toBe(0)
  })

  it('revokes the imported families of a subject too', async () => {
    const here = migrating()
    const { refreshToken } = succeeded(await here.tokens.rotate({ refreshToken: FOREIGN }))
    expect(await here.tokens.revokeSubject('alice')).toBe(1)
    expect(await here.tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect(await here.tokens.rotate({ refreshToken: FOREIGN })).toEqual({ ok: false, reason: 'revoked' })
  })
})

describe('legacyOnly', () => {
  it('rejects every token of Baton as malformed, and changes nothing', async () => {
    const here = migrating()
    const { refreshToken: first, family } = await here.tokens.issue({ subject: 'alice' })
    const { refreshToken: current } = succeeded(await here.tokens.rotate({ refreshToken: first }))
    const underAnotherKey = migrating({ secrets: [OLD_SECRET] })
    const { refreshToken: unknown } = await underAnotherKey.tokens.issue({ subject: 'alice' })
    const events = here.events.length
    for (const refreshToken of [first, current, unknown]) {
      const malformed = { ok: false, reason: 'malformed' }
      expect(await here.tokens.rotate({ refreshToken, legacyOnly: true })).toEqual(malformed)
      expect(await here.tokens.revoke({ refreshToken, legacyOnly: true })).toEqual(malformed)
      expect(await here.tokens.inspect(refreshToken, { legacyOnly: true })).toEqual({
        active: false,
        reason: 'malformed',
      })
    }
    expect(here.old.asked).toEqual([])
    expect(here.events.slice(events).filter(({ type }) => type !== 'rejected')).toEqual([])
    expect(await here.tokens.find(family.id)).toMatchObject({ generation: 1 })
  })

  it('accepts a legacy token before and after its import', async () => {
    const here = migrating()
    const request = { refreshToken: FOREIGN, legacyOnly: true }
    expect(await here.tokens.inspect(FOREIGN, { legacyOnly: true })).toMatchObject({ active: true })
    const { refreshToken } = succeeded(await here.tokens.rotate(request))
    expect(succeeded(await here.tokens.rotate(request)).refreshToken).toBe(refreshToken)
    expect(await here.tokens.revoke(request)).toMatchObject({ ok: true, ended: true })
  })
})
