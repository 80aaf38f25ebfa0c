import { describe, expect, it, vi } from 'vitest'
import { OperationalError, type RefreshTokens, type RotateRequest, StoreError } from '../../src/index.js'
import {
  DAY,
  HOUR,
  KEY,
  MINUTE,
  NEW_SECRET,
  OLD_SECRET,
  OTHER_KEY,
  SECOND,
  START,
  expectOk,
  testStore,
  type TestSetup,
  createSetup,
} from '../setup.js'

async function signIn(setup: TestSetup, request: object = {}) {
  const { refreshToken } = await setup.tokens.issue({ subject: 'alice', ...request })
  setup.clearRecords()
  return refreshToken
}

/** Refreshes and returns the next token. */
async function refresh(setup: TestSetup, refreshToken: string, request: object = {}) {
  return expectOk(await setup.tokens.rotate({ refreshToken, ...request })).refreshToken
}

const onlyRow = (setup: TestSetup) => [...setup.store.rows.values()][0]!

describe('rotation', () => {
  it('rotates in exactly one store call', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = await refresh(setup, token)
    expect(setup.store.calls).toEqual(['rotate'])
    await refresh(setup, next, { idempotencyKey: KEY, clientId: 'first-party', validAfter: 0, scope: '', audience: [] })
    expect(setup.store.calls).toEqual(['rotate', 'rotate'])
  })

  it('rotates in one read and one write if beforeCommit runs before the swap', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    await refresh(setup, token, { beforeCommit: async () => 'access token' })
    expect(setup.store.calls).toEqual(['find', 'rotate'])
  })

  it('returns a new token of the next generation and emits one event', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    setup.advance(MINUTE)
    const outcome = expectOk(await setup.tokens.rotate({ refreshToken: token }))
    expect(outcome.refreshToken).not.toBe(token)
    expect(outcome.outcome).toBe('rotated')
    expect(outcome.family).toMatchObject({ subject: 'alice', generation: 1, lastUsedAt: START + MINUTE })
    expect(setup.events).toEqual([
      {
        type: 'rotated',
        at: START + MINUTE,
        familyId: outcome.family.id,
        subject: 'alice',
        clientId: 'first-party',
        generation: 1,
      },
    ])
  })

  it('F-01: rotates the token of a public client without a key although the policy has rotation "never"', async () => {
    const setup = createSetup({ policy: { rotation: 'never' } })
    const token = await signIn(setup)
    expect(await refresh(setup, token)).not.toBe(token)
  })

  it('F-01: rotates the token of an unbound family although the request has a proof and the policy has rotation "never"', async () => {
    const setup = createSetup({ policy: { rotation: 'never' } })
    const token = await signIn(setup)
    expect(await refresh(setup, token, { confirmation: { jkt: 'key' } })).not.toBe(token)
  })
})

describe('rejections', () => {
  it.each([
    ['a random string', 'certainly not a token'],
    ['nothing', undefined],
    ['null', null],
    ['an object', { refreshToken: 'brt_' }],
    ['a list', ['brt_']],
    ['10 kB', 'x'.repeat(10_000)],
    ['text beyond VSCHAR', 'brt_\u0000\u00ff'],
  ])('R-02: rejects %s as malformed without a store call', async (_name, refreshToken) => {
    const setup = createSetup()
    const outcome = await setup.tokens.rotate({ refreshToken } as RotateRequest)
    expect(outcome).toEqual({ ok: false, reason: 'malformed' })
    expect(setup.store.calls).toEqual([])
    expect(setup.events).toMatchObject([{ type: 'rejected', reason: 'malformed', familyId: null }])
  })

  it('R-02: rejects a token whose key is not in the key ring without a store call', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const otherInstance = setup.instance({ secrets: [NEW_SECRET] })
    expect(await otherInstance.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'unknown_key' })
    expect(setup.store.calls).toEqual([])
    expect(setup.eventTypes()).toEqual(['rejected'])
  })

  it('R-02: rejects an authentic token without a family as unknown', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    setup.store.rows.clear()
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'unknown' })
    expect(await setup.tokens.rotate({ refreshToken: token, beforeCommit: async () => 1 })).toEqual({
      ok: false,
      reason: 'unknown',
    })
  })

  it('R-02, V-09: rejects a token of a revoked family at once on every instance', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    await setup.tokens.revoke({ refreshToken: token })
    expect(await setup.instance().rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('R-03: rejects another client, and the token remains valid for its own client', async () => {
    const setup = createSetup()
    const token = await signIn(setup, { clientId: 'b' })
    expect(await setup.tokens.rotate({ refreshToken: token, clientId: 'x' })).toEqual({ ok: false, reason: 'mismatch' })
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'mismatch' })
    expect(expectOk(await setup.tokens.rotate({ refreshToken: token, clientId: 'b' })).outcome).toBe('rotated')
  })

  it('F-13: rejects a token with a changed byte and does not revoke the family', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    for (let at = 4; at < token.length; at++) {
      const other = token[at] === 'A' ? 'B' : 'A'
      const outcome = await setup.tokens.rotate({ refreshToken: token.slice(0, at) + other + token.slice(at + 1) })
      expect(outcome).toMatchObject({ ok: false, reason: expect.stringMatching(/^(malformed|unknown_key)$/) })
    }
    expect(setup.store.calls).toEqual([])
    expect(await refresh(setup, token)).toBeTruthy()
  })

  it('rejects a token of another family than the request names and changes nothing', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const outcome = await setup.tokens.rotate({ refreshToken: token, familyId: 'another' })
    expect(outcome).toEqual({ ok: false, reason: 'other_family' })
    expect(setup.store.calls).toEqual([])
    await refresh(setup, token, { familyId: onlyRow(setup).id })
  })
})

describe('validAfter', () => {
  it('rejects every family of the client that was created before validAfter without a store call', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = await refresh(setup, token)
    setup.clearRecords()
    for (const refreshToken of [token, next])
      expect(await setup.tokens.rotate({ refreshToken, validAfter: START + SECOND })).toEqual({
        ok: false,
        reason: 'superseded',
      })
    expect(setup.store.calls).toEqual([])
    await refresh(setup, next, { validAfter: START })
  })

  it('rejects a family older than the validAfter of the hook and does not consume the token', async () => {
    let validAfter: number | null = START + 1
    const setup = createSetup({ beforeRotate: async () => ({ active: true, validAfter }) })
    const token = await signIn(setup)
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'superseded' })
    expect(setup.store.calls).toEqual(['find'])
    validAfter = START
    const next = await refresh(setup, token)
    validAfter = null
    await refresh(setup, next)
  })

  it.each([Number.NaN, '2030-01-01', new Date(START)])(
    'throws for the validAfter %s instead of accepting the token',
    async (validAfter) => {
      const setup = createSetup()
      const refreshToken = await signIn(setup)
      await expect(setup.tokens.rotate({ refreshToken, validAfter } as RotateRequest)).rejects.toThrow(
        /^option "validAfter" must be a finite number of epoch milliseconds/,
      )
      const hooked = setup.instance({ beforeRotate: async () => ({ active: true, validAfter: validAfter as number }) })
      await expect(hooked.rotate({ refreshToken })).rejects.toMatchObject({ code: 'hook_failed' })
      expect(onlyRow(setup).current.generation).toBe(0)
    },
  )
})

describe('scope and audience', () => {
  it('compares scope tokens as whole names', async () => {
    const setup = createSetup()
    const token = await signIn(setup, { scope: 'read write' })
    for (const scope of ['read', 'write read'])
      expect(expectOk(await setup.tokens.rotate({ refreshToken: token, scope })).scope).toBe(scope)
    const [{ id } = { id: '' }] = [...setup.store.rows.values()]
    setup.clearRecords()
    expect(await setup.tokens.rotate({ refreshToken: token, scope: 'rea' })).toMatchObject({ reason: 'invalid_scope' })
    expect(setup.events).toEqual([
      {
        type: 'rejected',
        at: START,
        reason: 'invalid_scope',
        familyId: id,
        clientId: 'first-party',
      },
    ])
  })

  const grant = { scope: 'a b', audience: ['https://one', 'https://two'] }

  it.each([
    ['no scope', {}, 'a b'],
    ['an empty scope', { scope: '' }, 'a b'],
    ['null', { scope: null }, 'a b'],
    ['the whole scope', { scope: 'b a' }, 'b a'],
    ['a part of the scope', { scope: 'a' }, 'a'],
    ['a part of the scope twice', { scope: 'a a' }, 'a'],
  ])('R-05, R-06, F-06: grants a request with %s and keeps the scope of the family', async (_name, request, scope) => {
    const setup = createSetup()
    const token = await signIn(setup, grant)
    const outcome = expectOk(await setup.tokens.rotate({ refreshToken: token, ...request } as RotateRequest))
    expect(outcome.scope).toBe(scope)
    expect(outcome.family.scope).toBe('a b')
    const after = expectOk(await setup.tokens.rotate({ refreshToken: outcome.refreshToken }))
    expect([after.scope, after.audience]).toEqual(['a b', grant.audience])
  })

  it.each([
    ['more than granted', 'a c'],
    ['another case', 'A'],
    ['two spaces', 'a  b'],
    ['a leading space', ' a'],
    ['a trailing space', 'a '],
    ['only spaces', ' '],
    ['quotes', '"a"'],
    ['a backslash', 'a\\'],
    ['non-ASCII', 'é'],
    ['a tab', 'a\tb'],
    ['a list', ['a']],
    ['an object', {}],
    ['a number', 1],
  ])('R-07, R-08: rejects a scope (%s) and does not consume the token', async (_name, scope) => {
    const setup = createSetup()
    const refreshToken = await signIn(setup, grant)
    const outcome = await setup.tokens.rotate({ refreshToken, scope } as RotateRequest)
    expect(outcome).toEqual({ ok: false, reason: 'invalid_scope' })
    expect(setup.store.calls).toEqual(['find'])
    await refresh(setup, refreshToken)
  })

  it('R-07: rejects a scope if the family has none', async () => {
    const setup = createSetup()
    const refreshToken = await signIn(setup)
    expect(await setup.tokens.rotate({ refreshToken, scope: 'a' })).toMatchObject({ reason: 'invalid_scope' })
  })

  it('R-10: narrows the audience for one response only if the request names a resource of the grant', async () => {
    const setup = createSetup()
    const token = await signIn(setup, grant)
    const outcome = expectOk(await setup.tokens.rotate({ refreshToken: token, audience: ['https://two'] }))
    expect(outcome.audience).toEqual(['https://two'])
    expect(outcome.family.audience).toEqual(grant.audience)
    expect(expectOk(await setup.tokens.rotate({ refreshToken: outcome.refreshToken })).audience).toEqual(grant.audience)
  })

  it.each([
    ['another resource than granted', ['https://three']],
    ['a granted resource and another', ['https://one', 'https://three']],
    ['another resource, not in a list', 'https://three'],
    ['objects', [{}]],
    ['null in a list', [null]],
  ])('R-10: rejects %s as audience and does not consume the token', async (_name, audience) => {
    const setup = createSetup()
    const refreshToken = await signIn(setup, grant)
    const outcome = await setup.tokens.rotate({ refreshToken, audience } as RotateRequest)
    expect(outcome).toEqual({ ok: false, reason: 'invalid_target' })
    await refresh(setup, refreshToken)
  })

  it('accepts a single resource that is not in a list', async () => {
    const setup = createSetup()
    const refreshToken = await signIn(setup, grant)
    const outcome = await setup.tokens.rotate({ refreshToken, audience: 'https://one' } as unknown as RotateRequest)
    expect(expectOk(outcome).audience).toEqual(['https://one'])
  })

  it('rejects a predecessor with an invalid scope without reuse, even after the grace window', async () => {
    const setup = createSetup()
    const token = await signIn(setup, grant)
    const next = await refresh(setup, token)
    setup.advance(HOUR)
    expect(await setup.tokens.rotate({ refreshToken: token, scope: 'c' })).toMatchObject({ reason: 'invalid_scope' })
    await refresh(setup, next)
  })
})

describe('retries and races', () => {
  it('F-08: returns the identical, valid successor for a retry with the same token', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = await refresh(setup, token)
    setup.advance(30 * SECOND - 1)
    const again = expectOk(await setup.tokens.rotate({ refreshToken: token }))
    expect(again.refreshToken).toBe(next)
    expect(again.outcome).toBe('retried')
    expect(setup.events.at(-1)).toMatchObject({ type: 'retried', generation: 1, by: 'grace' })
    await refresh(setup, next)
  })

  it('F-07: rotates once for 50 concurrent refreshes and returns the same successor to all', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => setup.instance().rotate({ refreshToken: token })),
    )
    const tokens = new Set(outcomes.map((outcome) => expectOk(outcome).refreshToken))
    expect(tokens.size).toBe(1)
    expect(setup.eventTypes().filter((type) => type === 'rotated')).toHaveLength(1)
    expect(onlyRow(setup).current.generation).toBe(1)
  })

  it('F-07: accepts one of 50 concurrent refreshes without a grace window and reports reuse once', async () => {
    const setup = createSetup({ policy: { graceSeconds: 0 } })
    const token = await signIn(setup)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => setup.instance().rotate({ refreshToken: token })),
    )
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1)
    expect(setup.eventTypes().filter((type) => type === 'reuse')).toHaveLength(1)
  })

  it('returns the successor of the concurrent winner if the loser ran beforeCommit', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    let winner = ''
    const outcome = await setup.tokens.rotate({
      refreshToken: token,
      beforeCommit: async () => {
        winner = await refresh(setup, token)
        return 'access'
      },
    })
    expect(outcome).toMatchObject({ ok: true, outcome: 'retried', refreshToken: winner, prepared: 'access' })
  })

  it.each([
    ['without a key', 30 * SECOND, {}, {}],
    ['with another key', 30 * SECOND, { idempotencyKey: KEY }, { idempotencyKey: OTHER_KEY }],
    ['with a key that its first attempt did not have', 30 * SECOND, {}, { idempotencyKey: KEY }],
    ['with a key too short', 30 * SECOND, { idempotencyKey: KEY.slice(0, 21) }, { idempotencyKey: KEY.slice(0, 21) }],
    ['with a key too long', 30 * SECOND, { idempotencyKey: 'x'.repeat(256) }, { idempotencyKey: 'x'.repeat(256) }],
    ['with a list as key', 30 * SECOND, { idempotencyKey: KEY.split('') }, { idempotencyKey: KEY.split('') }],
  ])('F-09: reports reuse after the grace window for a request %s', async (_name, after, one, two) => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = await refresh(setup, token, one)
    setup.advance(after)
    expect(await setup.tokens.rotate({ refreshToken: token, ...(two as Partial<RotateRequest>) })).toEqual({
      ok: false,
      reason: 'reuse',
    })
    expect(await setup.tokens.rotate({ refreshToken: next })).toEqual({ ok: false, reason: 'revoked' })
  })

  it.each([
    ['22 characters', KEY.slice(0, 22)],
    ['32 characters', KEY],
    ['255 characters', 'x'.repeat(255)],
  ])('F-08: accepts a retry hours later with the Idempotency-Key of the first attempt (%s)', async (_name, key) => {
    const setup = createSetup({ policy: { graceSeconds: 0 } })
    const token = await signIn(setup)
    const next = await refresh(setup, token, { idempotencyKey: key })
    setup.advance(7 * HOUR)
    expect(await refresh(setup, token, { idempotencyKey: key })).toBe(next)
    expect(setup.events.at(-1)).toMatchObject({ type: 'retried', by: 'idempotency_key' })
  })

  it.each([
    ['the default', {}, 12 * HOUR],
    ['sameAttemptSeconds', { sameAttemptSeconds: 60 }, 60 * SECOND],
  ])(
    'F-09: reports reuse for the Idempotency-Key of the rotation after the same-attempt window: %s',
    async (_name, policy, window) => {
      for (const graceSeconds of [0, 30]) {
        const setup = createSetup({ policy: { graceSeconds, ...policy } })
        const token = await signIn(setup)
        const next = await refresh(setup, token, { idempotencyKey: KEY })
        setup.advance(window - 1)
        expect(await refresh(setup, token, { idempotencyKey: KEY })).toBe(next)
        setup.advance(1)
        expect(await setup.tokens.rotate({ refreshToken: token, idempotencyKey: KEY })).toEqual({
          ok: false,
          reason: 'reuse',
        })
      }
    },
  )

  it.each([
    ['the same key', { idempotencyKey: KEY }, { idempotencyKey: KEY }, 'same'],
    ['another key', { idempotencyKey: KEY }, { idempotencyKey: OTHER_KEY }, 'other'],
    ['a key that the rotation did not have', {}, { idempotencyKey: KEY }, 'other'],
    ['no key although the rotation had one', { idempotencyKey: KEY }, {}, 'without_key'],
    ['a key that is too short to count', { idempotencyKey: KEY }, { idempotencyKey: 'x' }, 'without_key'],
    ['no key, as the rotation', {}, {}, 'unknown'],
  ])('emits the attempt that a retry belongs to: %s', async (_name, one, two, attempt) => {
    const setup = createSetup()
    const token = await signIn(setup)
    await refresh(setup, token, one)
    await refresh(setup, token, two)
    expect(setup.events.at(-1)).toMatchObject({ type: 'retried', attempt })
  })

  it('F-07: returns the same successor to 50 concurrent refreshes with one key if only the same attempt is accepted', async () => {
    const setup = createSetup({ policy: { grace: 'same-attempt' } })
    const token = await signIn(setup)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => setup.instance().rotate({ refreshToken: token, idempotencyKey: KEY })),
    )
    expect(new Set(outcomes.map((outcome) => expectOk(outcome).refreshToken)).size).toBe(1)
  })

  it('F-07: accepts one of 50 concurrent attempts and reports reuse once if only the same attempt is accepted', async () => {
    const setup = createSetup({ policy: { grace: 'same-attempt' } })
    const token = await signIn(setup)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        setup.instance().rotate({ refreshToken: token, idempotencyKey: `${KEY}-${String(index)}` }),
      ),
    )
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1)
    expect(setup.eventTypes().filter((type) => type === 'reuse')).toHaveLength(1)
  })

  it('inspects a predecessor as rotate would handle it without a key', async () => {
    const setup = createSetup({ policy: { grace: 'same-attempt' } })
    const [keyed, unkeyed] = [await signIn(setup), await signIn(setup)]
    await refresh(setup, keyed, { idempotencyKey: KEY })
    await refresh(setup, unkeyed)
    expect(await setup.tokens.inspect(keyed)).toEqual({ active: false, reason: 'reuse' })
    expect(await setup.tokens.inspect(unkeyed)).toMatchObject({ active: true })
  })

  it('F-09: reports reuse after the successor was used, in the grace window and with the Idempotency-Key too', async () => {
    for (const request of [{}, { idempotencyKey: KEY }]) {
      const setup = createSetup()
      const token = await signIn(setup)
      await refresh(setup, await refresh(setup, token, request))
      expect(await setup.tokens.rotate({ refreshToken: token, ...request })).toEqual({ ok: false, reason: 'reuse' })
    }
  })

  it('F-09: does not extend the grace window with retries', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    await refresh(setup, token)
    for (let second = 0; second < 29; second++) {
      setup.advance(SECOND)
      await refresh(setup, token)
    }
    setup.advance(SECOND)
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('F-11: writes nothing and extends no lifetime for a retry', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    await refresh(setup, token, { idempotencyKey: KEY })
    const before = structuredClone(onlyRow(setup))
    for (let again = 0; again < 100; again++) {
      setup.advance(MINUTE)
      await refresh(setup, token, { idempotencyKey: KEY })
    }
    expect(onlyRow(setup)).toEqual(before)
  })

  it('reports reuse for an older token although its Idempotency-Key is the same', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = await refresh(setup, token, { idempotencyKey: KEY })
    await refresh(setup, next, { idempotencyKey: KEY })
    expect(await setup.tokens.rotate({ refreshToken: token, idempotencyKey: KEY })).toEqual({
      ok: false,
      reason: 'reuse',
    })
  })

  it('F-10: returns no successor to another key or client and does not revoke the family', async () => {
    const setup = createSetup()
    const token = await signIn(setup, { clientId: 'b', confirmation: { jkt: 'mine' } })
    const own = { clientId: 'b', confirmation: { jkt: 'mine' } }
    const next = await refresh(setup, token, own)
    for (const theirs of [
      { confirmation: { jkt: 'theirs' } },
      { confirmation: null },
      { clientId: 'x' },
      { confirmation: { 'x5t#S256': 'mine' } },
    ])
      expect(await setup.tokens.rotate({ refreshToken: token, ...own, ...theirs })).toEqual({
        ok: false,
        reason: 'mismatch',
      })
    expect(await refresh(setup, token, own)).toBe(next)
  })
})

describe('reuse', () => {
  it('F-02, F-03: revokes the family for a predecessor after the grace window and emits one reuse event', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = await refresh(setup, token)
    setup.advance(HOUR)
    setup.clearRecords()
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
    expect(setup.events).toEqual([
      {
        type: 'reuse',
        at: START + HOUR,
        familyId: onlyRow(setup).id,
        subject: 'alice',
        clientId: 'first-party',
        generation: 1,
        presentedGeneration: 0,
      },
    ])
    expect(onlyRow(setup).revocation).toMatchObject({ at: START + HOUR, reason: 'reuse' })
    for (const refreshToken of [token, next])
      expect(await setup.tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect(setup.eventTypes()).toEqual(['reuse', 'rejected', 'rejected'])
  })

  it.each([0, 1, 2, 3])('F-04: revokes the family for generation %d of a chain of 5', async (generation) => {
    const setup = createSetup()
    const chain = [await signIn(setup)]
    for (let step = 0; step < 5; step++) chain.push(await refresh(setup, chain.at(-1)!))
    expect(await setup.tokens.rotate({ refreshToken: chain[generation]! })).toEqual({ ok: false, reason: 'reuse' })
    expect(await setup.tokens.rotate({ refreshToken: chain[5]! })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('F-04: revokes the family for an ancestor that has itself expired', async () => {
    const setup = createSetup({ policy: { idleSeconds: 3600 } })
    const token = await signIn(setup)
    let last = token
    for (let step = 0; step < 4; step++) {
      setup.advance(30 * MINUTE)
      last = await refresh(setup, last)
    }
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('F-05: keeps another login of the same subject and client active after reuse', async () => {
    const setup = createSetup()
    const other = await signIn(setup)
    const token = await signIn(setup)
    await refresh(setup, await refresh(setup, token))
    expect(await setup.tokens.rotate({ refreshToken: token })).toMatchObject({ reason: 'reuse' })
    await refresh(setup, other)
  })

  it('F-14: does not revoke the family for a replay with a wrong key or client', async () => {
    const setup = createSetup()
    const token = await signIn(setup, { confirmation: { jkt: 'mine' } })
    const next = await refresh(setup, token, { confirmation: { jkt: 'mine' } })
    setup.advance(HOUR)
    for (const request of [{ confirmation: { jkt: 'theirs' } }, { clientId: 'x', confirmation: { jkt: 'mine' } }, {}])
      expect(await setup.tokens.rotate({ refreshToken: token, ...request })).toEqual({ ok: false, reason: 'mismatch' })
    expect(setup.eventTypes().slice(-3)).toEqual(['rejected', 'rejected', 'rejected'])
    await refresh(setup, next, { confirmation: { jkt: 'mine' } })
  })

  it('returns "revoked" without a second event if a concurrent call revokes the family for reuse first', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    await refresh(setup, token)
    setup.advance(HOUR)
    setup.clearRecords()
    setup.store.beforeNext('revoke', () => setup.tokens.rotate({ refreshToken: token }))
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'revoked' })
    expect(setup.eventTypes()).toEqual(['reuse', 'rejected'])
  })
})

describe('lifetimes', () => {
  it('X-01: rotates up to the absolute expiry set at issue and not beyond', async () => {
    const setup = createSetup({ policy: { absoluteSeconds: 8 * 3600 } })
    let token = await signIn(setup)
    for (let step = 0; step < 47; step++) {
      setup.advance(10 * MINUTE)
      token = await refresh(setup, token)
    }
    setup.clock.now = START + 8 * HOUR - SECOND
    token = await refresh(setup, token)
    setup.clock.now = START + 8 * HOUR + SECOND
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'expired' })
  })

  it('X-02: counts the absolute lifetime from the login and not from the last rotation', async () => {
    const setup = createSetup({ policy: { absoluteSeconds: 90 * 86_400 } })
    let token = await signIn(setup)
    for (let step = 0; step < 3; step++) {
      setup.advance(25 * DAY)
      token = await refresh(setup, token)
    }
    expect(onlyRow(setup).lifetime.absoluteExpiresAt).toBe(START + 90 * DAY)
    setup.clock.now = START + 90 * DAY
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'expired' })
  })

  it('X-03: restarts the idle limit at each use, up to the absolute expiry', async () => {
    const setup = createSetup({ policy: { idleSeconds: 600, absoluteSeconds: 1000 } })
    let token = await signIn(setup)
    setup.advance(599 * SECOND)
    const outcome = expectOk(await setup.tokens.rotate({ refreshToken: token }))
    expect(outcome.family.expiresAt).toBe(START + 1000 * SECOND)
    token = outcome.refreshToken
    setup.clock.now = START + 999 * SECOND
    await refresh(setup, token)
  })

  it('X-03: rejects a token after a pause longer than the idle limit', async () => {
    const setup = createSetup({ policy: { idleSeconds: 600 } })
    const token = await signIn(setup)
    setup.advance(601 * SECOND)
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'expired' })
  })

  it('X-05: treats the instant of expiry as expired, for the idle and the absolute limit', async () => {
    for (const policy of [{ idleSeconds: 60 }, { idleSeconds: null, absoluteSeconds: 60 }]) {
      const setup = createSetup({ policy })
      const token = await signIn(setup)
      setup.advance(60 * SECOND)
      expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'expired' })
      setup.advance(-1)
      await refresh(setup, token)
    }
  })

  it('X-06: gives beforeCommit the expiry that the family will have', async () => {
    const setup = createSetup({ policy: { idleSeconds: 600, absoluteSeconds: 1000 } })
    const token = await signIn(setup)
    const revocations: number[] = []
    const beforeCommit: RotateRequest<unknown>['beforeCommit'] = async ({ family }) =>
      revocations.push(family.expiresAt - setup.clock.now)
    setup.advance(300 * SECOND)
    const next = await refresh(setup, token, { beforeCommit, idempotencyKey: KEY })
    expect(revocations.at(-1)).toBe(600 * SECOND)
    setup.advance(100 * SECOND)
    await refresh(setup, token, { beforeCommit, idempotencyKey: KEY })
    expect(revocations.at(-1)).toBe(500 * SECOND)
    setup.clock.now = START + 890 * SECOND
    await refresh(setup, next, { beforeCommit })
    expect(revocations.at(-1)).toBe(110 * SECOND)
  })

  it('applies the offline limits to an offline family', async () => {
    const setup = createSetup({
      policy: { idleSeconds: 60, absoluteSeconds: 120, offline: { idleSeconds: null, absoluteSeconds: 86_400 } },
    })
    const token = await signIn(setup, { offline: true })
    expect(onlyRow(setup)).toMatchObject({
      grant: { offline: true },
      lifetime: { idleMs: null },
      expiresAt: START + DAY,
    })
    setup.advance(DAY - 1)
    const next = await refresh(setup, token)
    setup.advance(1)
    expect(await setup.tokens.rotate({ refreshToken: next })).toEqual({ ok: false, reason: 'expired' })
  })
})

describe('rotation never', () => {
  const policy = { rotation: 'never', idleSeconds: 600, absoluteSeconds: 1000 } as const

  it('F-15: returns the same token in one store call that moves only the idle expiry', async () => {
    const setup = createSetup({ policy })
    const token = await signIn(setup)
    const before = onlyRow(setup)
    setup.advance(100 * SECOND)
    const outcome = expectOk(await setup.tokens.rotate({ refreshToken: token, confidential: true }))
    expect(outcome.refreshToken).toBe(token)
    expect(outcome.outcome).toBe('renewed')
    expect(outcome.family.lastUsedAt).toBe(START + 100 * SECOND)
    expect(setup.store.calls).toEqual(['rotate'])
    expect(onlyRow(setup)).toEqual({ ...before, expiresAt: START + 700 * SECOND })
    expect(setup.events).toMatchObject([{ type: 'renewed', generation: 0 }])
  })

  it('F-15: does not change the absolute expiry', async () => {
    const setup = createSetup({ policy })
    const token = await signIn(setup)
    const own = { refreshToken: token, confidential: true }
    setup.advance(500 * SECOND)
    await setup.tokens.rotate(own)
    setup.clock.now = START + 1000 * SECOND
    expect(await setup.tokens.rotate(own)).toEqual({ ok: false, reason: 'expired' })
  })

  it('does not rotate a bound family with its proof, nor a confidential client that the request exempts', async () => {
    const setup = createSetup({ policy })
    const token = await signIn(setup, { confirmation: { jkt: 'mine' } })
    expect(await refresh(setup, token, { confirmation: { jkt: 'mine' } })).toBe(token)
    const rotating = createSetup()
    const other = await signIn(rotating)
    expect(await refresh(rotating, other, { confidential: true, rotation: 'never' })).toBe(other)
    expect(await refresh(rotating, other, { rotation: 'never' })).not.toBe(other)
  })

  it('runs the hooks before it renews a token', async () => {
    const setup = createSetup({ policy, beforeRotate: async () => ({ active: true, claims: { role: 'admin' } }) })
    const token = await signIn(setup)
    const outcome = await setup.tokens.rotate({ refreshToken: token, confidential: true })
    expect(outcome).toMatchObject({ ok: true, outcome: 'renewed', claims: { role: 'admin' } })
    expect(setup.store.calls).toEqual(['find', 'rotate'])
  })

  it('rejects a renewed token after the family is revoked', async () => {
    const setup = createSetup({ policy })
    const token = await signIn(setup)
    await setup.tokens.revoke({ refreshToken: token })
    expect(await setup.tokens.rotate({ refreshToken: token, confidential: true })).toEqual({
      ok: false,
      reason: 'revoked',
    })
  })

  it('accepts a retry of a rotation that was made under another policy', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = await refresh(setup, token)
    const renewing = setup.instance({ policy })
    expect(await renewing.rotate({ refreshToken: token, confidential: true })).toMatchObject({ refreshToken: next })
  })
})

describe('bound families', () => {
  const own = { confirmation: { jkt: 'mine' } }

  it('rotates a bound family only with the proof of its key', async () => {
    const setup = createSetup()
    const token = await signIn(setup, own)
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'mismatch' })
    expect(setup.store.calls).toEqual([])
    expect(await setup.tokens.rotate({ refreshToken: token, confirmation: { jkt: 'theirs' } })).toMatchObject({
      reason: 'mismatch',
    })
    expect(setup.store.calls).toEqual(['rotate'])
    const next = await refresh(setup, token, own)
    await refresh(setup, next, own)
  })

  it('does not check the rate limit of a bound family without a proof', async () => {
    const setup = createSetup()
    const token = await signIn(setup, own)
    const rateLimitCheck = vi.fn(async () => true)
    await setup.tokens.rotate({ refreshToken: token, checkRateLimit: rateLimitCheck })
    expect(rateLimitCheck).not.toHaveBeenCalled()
  })

  it('ignores a proof if the family is unbound', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    await refresh(setup, await refresh(setup, token, own), { confirmation: { jkt: 'another' } })
  })
})

describe('lost rotations', () => {
  it('heals a family after one lost rotation and returns the same successor to a retry', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const second = await refresh(setup, token)
    setup.store.rollBack(1)
    setup.clearRecords()
    const healed = expectOk(await setup.tokens.rotate({ refreshToken: second }))
    expect(healed).toMatchObject({ outcome: 'healed', family: { generation: 2 } })
    expect(setup.events).toMatchObject([{ type: 'healed', generation: 2 }])
    expect(await refresh(setup, second)).toBe(healed.refreshToken)
    await refresh(setup, healed.refreshToken)
  })

  it('heals a family after one lost rotation and returns the same successor to two concurrent requests', async () => {
    const setup = createSetup()
    const second = await refresh(setup, await signIn(setup))
    setup.store.rollBack(1)
    const outcomes = await Promise.all([1, 2].map(() => setup.instance().rotate({ refreshToken: second })))
    expect(new Set(outcomes.map((outcome) => expectOk(outcome).refreshToken)).size).toBe(1)
  })

  it('revokes the family if both the predecessor and the successor are used after a lost rotation', async () => {
    const setup = createSetup()
    const first = await signIn(setup)
    const second = await refresh(setup, first)
    setup.store.rollBack(1)
    const attacker = await refresh(setup, first)
    expect(await setup.tokens.rotate({ refreshToken: second })).toEqual({ ok: false, reason: 'reuse' })
    expect(await setup.tokens.rotate({ refreshToken: attacker })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('heals a family only for its key and its client', async () => {
    const setup = createSetup()
    const second = await refresh(setup, await signIn(setup, { confirmation: { jkt: 'mine' } }), {
      confirmation: { jkt: 'mine' },
    })
    setup.store.rollBack(1)
    expect(await setup.tokens.rotate({ refreshToken: second, confirmation: { jkt: 'theirs' } })).toMatchObject({
      reason: 'mismatch',
    })
    expect(expectOk(await setup.tokens.rotate({ refreshToken: second, confirmation: { jkt: 'mine' } })).outcome).toBe(
      'healed',
    )
  })

  it('revokes the family after two lost rotations and does not report reuse', async () => {
    const setup = createSetup()
    const third = await refresh(setup, await refresh(setup, await signIn(setup)))
    setup.store.rollBack(2)
    setup.clearRecords()
    expect(await setup.tokens.rotate({ refreshToken: third })).toEqual({ ok: false, reason: 'rollback' })
    expect(setup.events).toMatchObject([
      { type: 'revoked', reason: 'rollback' },
      { type: 'rejected', reason: 'rollback' },
    ])
    expect(onlyRow(setup).revocation?.reason).toBe('rollback')
    expect(await setup.tokens.rotate({ refreshToken: third })).toEqual({ ok: false, reason: 'revoked' })
  })
})

describe('rotation of secrets', () => {
  it('changes secrets in three steps without a rejected token, and a retry in between gets the same successor', async () => {
    const setup = createSetup()
    const instances = [
      setup.instance({ secrets: [OLD_SECRET] }),
      setup.instance({ secrets: [OLD_SECRET, NEW_SECRET] }),
      setup.instance({ secrets: [NEW_SECRET, OLD_SECRET] }),
      setup.instance({ secrets: [NEW_SECRET] }),
    ]
    let token = (await instances[0]!.issue({ subject: 'alice' })).refreshToken
    // During a rollout, instances with two neighbouring configurations run at the same time.
    for (const [older, newer] of [
      [0, 1],
      [1, 2],
      [2, 3],
    ] as const) {
      for (const [one, two] of [
        [older, newer],
        [newer, older],
      ] as const) {
        // The absolute lifetime has passed by the last step, so that no token of the old secret is left.
        if (newer === 3) token = expectOk(await instances[2]!.rotate({ refreshToken: token })).refreshToken
        const next = expectOk(await instances[one]!.rotate({ refreshToken: token }))
        const retry = expectOk(await instances[two]!.rotate({ refreshToken: token }))
        expect(retry.refreshToken).toBe(next.refreshToken)
        token = next.refreshToken
      }
    }
    expect(setup.eventTypes()).not.toContain('rejected')
  })

  it('derives the successor under the current key after a read or a healed rotation, and a retry gets the same', async () => {
    const setup = createSetup()
    const first = await signIn(setup)
    const newer = setup.instance({ secrets: [NEW_SECRET, OLD_SECRET] })
    const worked = { refreshToken: first, beforeCommit: async () => 'access' }
    const second = expectOk(await newer.rotate(worked)).refreshToken
    expect(expectOk(await newer.rotate(worked)).refreshToken).toBe(second)
    setup.store.rollBack(1)
    const healed = expectOk(await newer.rotate({ refreshToken: second }))
    expect(healed.outcome).toBe('healed')
    expect(expectOk(await newer.rotate({ refreshToken: second })).refreshToken).toBe(healed.refreshToken)
  })

  it('rejects a token under a newer key that is not in the key ring and does not revoke the family', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = expectOk(await setup.instance({ secrets: [NEW_SECRET, OLD_SECRET] }).rotate({ refreshToken: token }))
    expect(await setup.tokens.rotate({ refreshToken: next.refreshToken })).toEqual({ ok: false, reason: 'unknown_key' })
    expect(onlyRow(setup).revocation).toBeNull()
  })

  it('throws an OperationalError and reports no reuse for a retry if the key of the record is missing', async () => {
    for (const [graceSeconds, request] of [
      [30, {}],
      [0, { idempotencyKey: KEY }],
    ] as const) {
      const setup = createSetup({ policy: { graceSeconds } })
      const token = await signIn(setup)
      const ahead = setup.instance({ secrets: [NEW_SECRET, OLD_SECRET] })
      await ahead.rotate({ refreshToken: token, ...request })
      setup.clearRecords()
      const fault = await setup.tokens.rotate({ refreshToken: token, ...request }).catch((error: unknown) => error)
      expect(fault).toBeInstanceOf(OperationalError)
      expect(fault).toMatchObject({
        code: 'record_key_missing',
        message: expect.stringMatching(/^the family was rotated with the key \S{4}, which is not in secrets/),
      })
      expect(setup.events).toMatchObject([{ type: 'fault', code: 'record_key_missing', operation: 'rotate' }])
      expect(onlyRow(setup).revocation).toBeNull()
      if (graceSeconds > 0) {
        await expect(setup.tokens.inspect(token)).rejects.toMatchObject({ code: 'record_key_missing' })
        expect(setup.events.at(-1)).toMatchObject({ code: 'record_key_missing', operation: 'inspect' })
      }
      expectOk(await ahead.rotate({ refreshToken: token, ...request }))
    }
  })
})

describe('hooks', () => {
  it('F-12: rejects an inactive subject and does not consume the token', async () => {
    let active = false
    const setup = createSetup({ beforeRotate: async () => ({ active }) })
    const token = await signIn(setup)
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({
      ok: false,
      reason: 'inactive',
    })
    expect(setup.store.calls).toEqual(['find'])
    active = true
    await refresh(setup, token)
  })

  it('calls beforeRotate before each response with tokens, and gives beforeCommit its result', async () => {
    const beforeRotate = vi.fn(async () => ({ active: true, claims: { role: 'admin' } }))
    const setup = createSetup({ beforeRotate })
    const token = await signIn(setup, { scope: 'a b' })
    const beforeCommit: RotateRequest<string>['beforeCommit'] = async ({ claims, scope, family }) =>
      `${String(claims['role'])} ${scope} ${family.subject}`
    const ask = (refreshToken: string) => setup.tokens.rotate({ refreshToken, beforeCommit, scope: 'b' })
    const rotated = expectOk(await ask(token))
    const retried = expectOk(await ask(token))
    setup.store.rollBack(1)
    const healed = expectOk(await ask(rotated.refreshToken))
    expect([rotated, retried, healed].map(({ outcome }) => outcome)).toEqual(['rotated', 'retried', 'healed'])
    for (const outcome of [rotated, retried, healed])
      expect(outcome).toMatchObject({ prepared: 'admin b alice', claims: { role: 'admin' }, scope: 'b' })
    expect(beforeRotate).toHaveBeenCalledTimes(3)
  })

  it('does not call beforeRotate for a token that is rejected', async () => {
    const beforeRotate = vi.fn(async () => undefined)
    const setup = createSetup({ beforeRotate })
    const token = await signIn(setup)
    await setup.tokens.rotate({ refreshToken: token, clientId: 'x' })
    await setup.tokens.revoke({ refreshToken: token })
    await setup.tokens.rotate({ refreshToken: token })
    expect(beforeRotate).not.toHaveBeenCalled()
  })

  it('calls beforeCommit once even if a concurrent call wins the swap', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const hook = vi.fn(async () => undefined)
    setup.store.beforeNext('rotate', () => setup.tokens.rotate({ refreshToken: token }))
    expect(await setup.tokens.rotate({ refreshToken: token, beforeCommit: hook })).toMatchObject({
      outcome: 'retried',
    })
    expect(hook).toHaveBeenCalledTimes(1)
  })

  it('gives beforeRotate the time of the previous use', async () => {
    const seen: number[] = []
    const setup = createSetup({
      beforeRotate: async ({ family }) => {
        seen.push(family.lastUsedAt)
        return undefined
      },
    })
    const token = await signIn(setup)
    setup.advance(DAY)
    await refresh(setup, token, { beforeCommit: async () => undefined })
    expect(seen).toEqual([START])
  })

  it.each([
    ['beforeRotate', { beforeRotate: async () => Promise.reject(new Error('user database down')) }, {}],
    [
      'beforeRotate',
      {
        beforeRotate: () => {
          throw new Error('user database down')
        },
      },
      {},
    ],
    ['beforeCommit', {}, { beforeCommit: async () => Promise.reject(new Error('user database down')) }],
    [
      'beforeCommit',
      {},
      {
        beforeCommit: () => {
          throw new Error('user database down')
        },
      },
    ],
    ['checkRateLimit', {}, { checkRateLimit: async () => Promise.reject(new Error('user database down')) }],
  ])(
    'F-12: throws an OperationalError if %s throws, and does not consume the token',
    async (operation, options, request) => {
      const setup = createSetup()
      const token = await signIn(setup)
      const failing = setup.instance(options)
      const fault = await failing.rotate({ refreshToken: token, ...request }).catch((error: unknown) => error)
      expect(fault).toBeInstanceOf(OperationalError)
      expect(fault).toMatchObject({ code: 'hook_failed', cause: { message: 'user database down' } })
      expect(setup.events).toEqual([{ type: 'fault', at: START, code: 'hook_failed', operation }])
      expect(onlyRow(setup)).toMatchObject({
        current: { generation: 0 },
        revocation: null,
        expiresAt: START + 30 * DAY,
      })
      await refresh(setup, token)
    },
  )

  it('throws an OperationalError for claims that an access token cannot contain, and does not consume the token', async () => {
    const setup = createSetup({ beforeRotate: async () => ({ active: true, claims: { big: 1n } }) })
    const token = await signIn(setup)
    await expect(setup.tokens.rotate({ refreshToken: token })).rejects.toMatchObject({ code: 'hook_failed' })
    expect(setup.store.calls).toEqual(['find'])
  })

  it.each([
    ['false', false],
    ['null', null],
    ['true', true],
    ['no member active', {}],
    ['active as text', { active: 'no' }],
    ['a list', []],
  ])(
    'throws an OperationalError if beforeRotate returns %s, and does not consume the token',
    async (_name, hookResult) => {
      const setup = createSetup({ beforeRotate: async () => hookResult as never })
      const token = await signIn(setup)
      await expect(setup.tokens.rotate({ refreshToken: token })).rejects.toMatchObject({
        code: 'hook_failed',
        cause: { code: 'invalid_option', message: expect.stringMatching(/^option "beforeRotate[".]/) },
      })
      expect(onlyRow(setup).current.generation).toBe(0)
    },
  )

  it('F-11, F-12: rejects a rate-limited request before any store call', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const rateLimitCheck = vi.fn(async () => false)
    expect(await setup.tokens.rotate({ refreshToken: token, checkRateLimit: rateLimitCheck })).toEqual({
      ok: false,
      reason: 'rate_limited',
    })
    const { id: familyId, grant } = onlyRow(setup)
    const { clientId } = grant
    expect(rateLimitCheck).toHaveBeenCalledExactlyOnceWith({ familyId, clientId, confirmation: null })
    expect(setup.store.calls).toEqual([])
    await refresh(setup, token, { checkRateLimit: async () => true })
  })

  it('reports reuse for a retry if its successor is used while beforeCommit runs', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = await refresh(setup, token)
    const outcome = await setup.tokens.rotate({
      refreshToken: token,
      beforeCommit: async () => refresh(setup, next),
    })
    expect(outcome).toEqual({ ok: false, reason: 'reuse' })
  })

  it('accepts a retry that arrived in its window although beforeCommit takes longer', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const next = await refresh(setup, token)
    setup.advance(29 * SECOND)
    expect(await refresh(setup, token, { beforeCommit: async () => setup.advance(HOUR) })).toBe(next)
  })

  it('does not report reuse for the loser of a race although its beforeCommit takes longer than the window', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const slow = async () => {
      await refresh(setup, token)
      setup.advance(HOUR)
    }
    expect(await setup.tokens.rotate({ refreshToken: token, beforeCommit: slow })).toMatchObject({ outcome: 'retried' })
  })

  it('rejects a token as expired if the family expires while beforeCommit runs', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const slow = async () => setup.advance(365 * DAY)
    expect(await setup.tokens.rotate({ refreshToken: token, beforeCommit: slow })).toEqual({
      ok: false,
      reason: 'expired',
    })
  })

  it.each(['rotated', 'retried'])(
    'returns no token if the family is revoked while beforeCommit runs (%s)',
    async (how) => {
      const setup = createSetup()
      const token = await signIn(setup)
      if (how === 'retried') await refresh(setup, token)
      const outcome = await setup.tokens.rotate({
        refreshToken: token,
        beforeCommit: async () => setup.tokens.revoke({ refreshToken: token }),
      })
      expect(outcome).toEqual({ ok: false, reason: 'revoked' })
    },
  )

  it('rejects a token as unknown if the family is purged while beforeCommit runs', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const outcome = await setup.tokens.rotate({
      refreshToken: token,
      beforeCommit: async () => setup.store.rows.clear(),
    })
    expect(outcome).toEqual({ ok: false, reason: 'unknown' })
  })
})

describe('drivers that execute a command twice', () => {
  it('issues, rotates and revokes once, with one event each, if the driver executes each command twice', async () => {
    const setup = createSetup()
    setup.store.executeTwice(['create', 'rotate', 'revoke'])
    const { refreshToken } = await setup.tokens.issue({ subject: 'alice' })
    const next = expectOk(await setup.tokens.rotate({ refreshToken }))
    expect(next).toMatchObject({ outcome: 'rotated', family: { generation: 1 } })
    await setup.tokens.revoke({ refreshToken })
    expect(setup.eventTypes()).toEqual(['issued', 'rotated', 'revoked'])
  })

  it('reports reuse exactly once if the driver executes the revocation twice', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    await refresh(setup, await refresh(setup, token))
    setup.clearRecords()
    setup.store.executeTwice(['revoke'])
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
    expect(setup.eventTypes()).toEqual(['reuse'])
  })

  it('I15: reports reuse exactly once if the driver executes the revocation twice with a purge in between', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    await refresh(setup, await refresh(setup, token))
    setup.clearRecords()
    setup.store.executeTwice(['revoke'], () => setup.tokens.purge())
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
    expect(setup.eventTypes()).toEqual(['reuse'])
    expect(setup.store.rows.size).toBe(0)
  })

  it('renews once if the driver executes the command twice', async () => {
    const setup = createSetup({ policy: { rotation: 'never' } })
    const token = await signIn(setup)
    setup.store.executeTwice(['rotate'])
    expect(await refresh(setup, token, { confidential: true })).toBe(token)
    expect(setup.eventTypes()).toEqual(['renewed'])
  })

  it('recognizes its own rotation if a retry has used the successor between two executions of the command', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    let other = ''
    let last = ''
    setup.store.executeTwice(['rotate'], async () => {
      other = await refresh(setup, token)
      last = await refresh(setup, other)
    })
    const outcome = expectOk(await setup.tokens.rotate({ refreshToken: token }))
    expect(outcome).toMatchObject({ outcome: 'rotated', refreshToken: other })
    expect(setup.eventTypes()).toEqual(['retried', 'rotated', 'rotated'])
    expect(setup.events.at(-1)).toMatchObject({ generation: 1 })
    await refresh(setup, last)
  })

  it('does not mistake the rotation of another caller for its own', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    setup.store.beforeNext('rotate', async () => refresh(setup, await refresh(setup, token)))
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('does not return a successor if the family is revoked between two executions of the command', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    setup.store.executeTwice(['rotate'], () => setup.tokens.revoke({ refreshToken: token }))
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'revoked' })
  })
})

describe('store failures', () => {
  it.each([
    ['before it wrote', false],
    ['after it wrote', true],
  ])(
    'F-12, F-16: throws an OperationalError if the store fails %s, and the same token remains valid',
    async (_name, written) => {
      const setup = createSetup()
      const token = await signIn(setup)
      setup.store.failNext('rotate', { written })
      const fault = await setup.tokens.rotate({ refreshToken: token }).catch((error: unknown) => error)
      expect(fault).toBeInstanceOf(StoreError)
      expect(fault).toMatchObject({ code: 'store_failed', cause: { message: /connection/ } })
      expect(setup.events).toEqual([{ type: 'fault', at: START, code: 'store_failed', operation: 'store.rotate' }])
      expect(expectOk(await setup.tokens.rotate({ refreshToken: token })).outcome).toBe(written ? 'retried' : 'rotated')
    },
  )

  it('throws if the store fails to revoke for reuse, and the next replay revokes the family', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    await refresh(setup, await refresh(setup, token))
    setup.store.failNext('revoke')
    await expect(setup.tokens.rotate({ refreshToken: token })).rejects.toThrow(StoreError)
    expect(await setup.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('throws a StoreError after the store timeout, and a retry finds the written rotation', async () => {
    vi.useFakeTimers()
    try {
      const setup = createSetup({ storeTimeoutSeconds: 2 })
      const token = await signIn(setup)
      setup.store.hangNext('rotate')
      const attempt = setup.tokens.rotate({ refreshToken: token }).catch((error: unknown) => error)
      await vi.advanceTimersByTimeAsync(1999)
      expect(setup.events).toEqual([])
      await vi.advanceTimersByTimeAsync(1)
      expect(await attempt).toMatchObject({ name: 'StoreError', code: 'store_timeout' })
      expect(setup.events).toMatchObject([{ type: 'fault', code: 'store_timeout', operation: 'store.rotate' }])
      expect(vi.getTimerCount()).toBe(0)
      expect(expectOk(await setup.tokens.rotate({ refreshToken: token })).outcome).toBe('retried')
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it.each(['find', 'list', 'purge'] as const)('emits a fault event if store.%s fails', async (method) => {
    const setup = createSetup()
    const token = await signIn(setup)
    setup.store.failNext(method)
    const call = {
      find: () => setup.tokens.inspect(token),
      list: () => setup.tokens.list({ subject: 'alice' }),
      purge: () => setup.tokens.purge(),
    }[method]
    await expect(call()).rejects.toMatchObject({ code: 'store_failed' })
    expect(setup.eventTypes()).toEqual(['fault'])
  })

  it('throws an OperationalError after three swaps that the store neither applies nor explains', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const { store } = setup
    const stuck = setup.instance({
      store: {
        ...store,
        rotate: async ({ id }) => {
          store.calls.push('rotate')
          return store.rows.get(id)!
        },
      },
    })
    const [{ id } = { id: '' }] = [...store.rows.values()]
    await expect(stuck.rotate({ refreshToken: token })).rejects.toMatchObject({
      name: 'OperationalError',
      code: 'contended',
      message: `another caller won every swap of family ${id}`,
    })
    expect(setup.events).toMatchObject([{ type: 'fault', code: 'contended', operation: 'rotate' }])
    expect(store.calls).toEqual(['rotate', 'rotate', 'rotate'])
    expect(setup.eventTypes()).toEqual(['fault'])
    await refresh(setup, token)
  })

  it('succeeds in the third attempt after two lost swaps', async () => {
    const setup = createSetup()
    const token = await signIn(setup)
    const { store } = setup
    let lostOutcome = 2
    const busy = setup.instance({
      store: { ...store, rotate: (command) => (lostOutcome-- > 0 ? store.find(command.id) : store.rotate(command)) },
    })
    expect(expectOk(await busy.rotate({ refreshToken: token })).outcome).toBe('rotated')
  })

  it.each([
    ['undefined', () => undefined],
    ['another family', () => ({ ...onlyRow(createSetup()), id: 'another' })],
    ['a string', () => 'OK'],
  ])('throws a StoreError if the store returns %s', async (_name, result) => {
    const setup = createSetup()
    const token = await signIn(setup)
    const broken = setup.instance({
      store: { ...setup.store, find: result as never, rotate: result as never, revoke: result as never },
    })
    for (const call of [
      () => broken.rotate({ refreshToken: token }),
      () => broken.inspect(token),
      () => broken.revoke({ refreshToken: token }),
    ])
      await expect(call()).rejects.toMatchObject({ name: 'StoreError', code: expect.stringMatching(/^store_/) })
    expect(setup.eventTypes()).toEqual(['fault', 'fault', 'fault'])
  })

  it('throws a StoreError if the store creates another record than it was given', async () => {
    const setup = createSetup()
    const broken = setup.instance({
      store: {
        ...setup.store,
        create: async (record) => ({ ...record, current: { ...record.current, verifier: 'else' as never } }),
      },
    })
    await expect(broken.issue({ subject: 'alice' })).rejects.toMatchObject({
      code: 'store_broken',
      message: 'store.create returned another family than the one it was given',
    })
    const silent = setup.instance({ store: { ...setup.store, create: async () => null as never } })
    await expect(silent.issue({ subject: 'alice' })).rejects.toMatchObject({
      code: 'store_broken',
      message: 'store.create returned null',
    })
    const fault = { type: 'fault', at: START, code: 'store_broken', operation: 'store.create' }
    expect(setup.events).toEqual([fault, fault])
  })

  it.each([
    ['create', (tokens: RefreshTokens) => tokens.issue({ subject: 'alice' })],
    ['find', (tokens: RefreshTokens) => tokens.find('A'.repeat(22))],
    // A revocation reads first. `reported-revocations.test.ts` tests revocations whose write fails.
    ['find', (tokens: RefreshTokens) => tokens.revoke({ familyId: 'A'.repeat(22) })],
    ['list', (tokens: RefreshTokens) => tokens.list({ subject: 'alice' })],
    ['purge', (tokens: RefreshTokens) => tokens.purge()],
    ['claimOnce', (tokens: RefreshTokens) => tokens.consumeOnce({ purpose: 'test', key: 'key', expiresAt: START + 1 })],
  ] as const)('names the failed method in the error and the event if store.%s fails', async (method, call) => {
    const setup = createSetup()
    setup.store.failNext(method)
    await expect(call(setup.tokens)).rejects.toMatchObject({
      name: 'StoreError',
      code: 'store_failed',
      message: `store.${method} failed`,
      cause: { message: 'connection refused' },
    })
    expect(setup.events).toEqual([{ type: 'fault', at: START, code: 'store_failed', operation: `store.${method}` }])
  })

  it.each([
    ['undefined', undefined],
    ['another family', { id: 'another' }],
  ])('describes the result in the message if store.find returns %s', async (what, result) => {
    const setup = createSetup()
    const id = 'A'.repeat(22)
    const tokens = setup.instance({ store: { ...setup.store, find: async () => result as never } })
    await expect(tokens.find(id)).rejects.toMatchObject({
      code: 'store_broken',
      message: `the store returned ${what}, expected the record of family ${id} or null`,
    })
  })
})

describe('confidentiality', () => {
  it('K-01: stores, emits and throws no token, part of a token, or key', async () => {
    const store = testStore()
    const seen: unknown[] = []
    const recording = Object.fromEntries(
      Object.entries(store).map(([name, method]) => [
        name,
        typeof method !== 'function'
          ? method
          : async (...given: unknown[]) => {
              const result: unknown = await (method as (...given: unknown[]) => unknown)(...given)
              seen.push(given, result)
              return result
            },
      ]),
    ) as unknown as typeof store
    const setup = createSetup({ store: recording }, { store })
    const returned: string[] = []
    const recordToken = (token: string) => {
      returned.push(token)
      return token
    }
    const first = recordToken((await setup.tokens.issue({ subject: 'alice' })).refreshToken)
    const second = recordToken(await refresh(setup, first, { idempotencyKey: KEY }))
    recordToken(await refresh(setup, first))
    store.rollBack(1)
    const third = recordToken(await refresh(setup, second))
    recordToken(await refresh(setup, third))
    await setup.tokens.rotate({ refreshToken: second })
    store.failNext('rotate')
    seen.push(await setup.tokens.rotate({ refreshToken: third }).catch((error: unknown) => String(error)))
    seen.push(setup.events, [...store.rows.values()])

    const allSituations = JSON.stringify(seen)
    for (const token of returned) {
      const bytes = Buffer.from(token.slice(4), 'base64url')
      const parts = { handle: bytes.subarray(4, 20), secret: bytes.subarray(28, 52), tag: bytes.subarray(68) }
      expect(allSituations).not.toContain(token)
      for (const part of Object.values(parts))
        for (const encoding of ['base64url', 'base64', 'hex'] as const)
          expect(allSituations).not.toContain(part.toString(encoding).slice(0, 20))
    }
    for (const secret of [OLD_SECRET, KEY]) expect(allSituations).not.toContain(secret)
  })
})
