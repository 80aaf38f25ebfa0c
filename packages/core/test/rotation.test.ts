import { describe, expect, it, vi } from 'vitest'
import { OperationalError, type RefreshTokens, type RotateRequest, StoreError } from '../src/index.js'
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
  succeeded,
  testStore,
  type World,
  world,
} from './world.js'

async function signIn(here: World, request: object = {}) {
  const { refreshToken } = await here.tokens.issue({ subject: 'alice', ...request })
  here.quiet()
  return refreshToken
}

/** Refreshes and returns the next token. */
async function refresh(here: World, refreshToken: string, request: object = {}) {
  return succeeded(await here.tokens.rotate({ refreshToken, ...request })).refreshToken
}

const onlyRow = (here: World) => [...here.store.rows.values()][0]!

describe('rotation', () => {
  it('rotates in exactly one store call', async () => {
    const here = world()
    const token = await signIn(here)
    const next = await refresh(here, token)
    expect(here.store.calls).toEqual(['rotate'])
    await refresh(here, next, { idempotencyKey: KEY, clientId: 'first-party', validAfter: 0, scope: '', audience: [] })
    expect(here.store.calls).toEqual(['rotate', 'rotate'])
  })

  it('rotates in one read and one write if beforeCommit runs before the swap', async () => {
    const here = world()
    const token = await signIn(here)
    await refresh(here, token, { beforeCommit: async () => 'access token' })
    expect(here.store.calls).toEqual(['find', 'rotate'])
  })

  it('returns a new token of the next generation and emits one event', async () => {
    const here = world()
    const token = await signIn(here)
    here.advance(MINUTE)
    const outcome = succeeded(await here.tokens.rotate({ refreshToken: token }))
    expect(outcome.refreshToken).not.toBe(token)
    expect(outcome.outcome).toBe('rotated')
    expect(outcome.family).toMatchObject({ subject: 'alice', generation: 1, lastUsedAt: START + MINUTE })
    expect(here.events).toEqual([
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
    const here = world({ policy: { rotation: 'never' } })
    const token = await signIn(here)
    expect(await refresh(here, token)).not.toBe(token)
  })

  it('F-01: rotates the token of an unbound family although the request has a proof and the policy has rotation "never"', async () => {
    const here = world({ policy: { rotation: 'never' } })
    const token = await signIn(here)
    expect(await refresh(here, token, { confirmation: { jkt: 'key' } })).not.toBe(token)
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
    const here = world()
    const outcome = await here.tokens.rotate({ refreshToken } as RotateRequest)
    expect(outcome).toEqual({ ok: false, reason: 'malformed' })
    expect(here.store.calls).toEqual([])
    expect(here.events).toMatchObject([{ type: 'rejected', reason: 'malformed', familyId: null }])
  })

  it('R-02: rejects a token whose key is not in the key ring without a store call', async () => {
    const here = world()
    const token = await signIn(here)
    const elsewhere = here.instance({ secrets: [NEW_SECRET] })
    expect(await elsewhere.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'unknown_key' })
    expect(here.store.calls).toEqual([])
    expect(here.typesSeen()).toEqual(['rejected'])
  })

  it('R-02: rejects an authentic token without a family as unknown', async () => {
    const here = world()
    const token = await signIn(here)
    here.store.rows.clear()
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'unknown' })
    expect(await here.tokens.rotate({ refreshToken: token, beforeCommit: async () => 1 })).toEqual({
      ok: false,
      reason: 'unknown',
    })
  })

  it('R-02, V-09: rejects a token of a revoked family at once on every instance', async () => {
    const here = world()
    const token = await signIn(here)
    await here.tokens.revoke({ refreshToken: token })
    expect(await here.instance().rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('R-03: rejects another client, and the token remains valid for its own client', async () => {
    const here = world()
    const token = await signIn(here, { clientId: 'b' })
    expect(await here.tokens.rotate({ refreshToken: token, clientId: 'x' })).toEqual({ ok: false, reason: 'mismatch' })
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'mismatch' })
    expect(succeeded(await here.tokens.rotate({ refreshToken: token, clientId: 'b' })).outcome).toBe('rotated')
  })

  it('F-13: rejects a token with a changed byte and does not revoke the family', async () => {
    const here = world()
    const token = await signIn(here)
    for (let at = 4; at < token.length; at++) {
      const other = token[at] === 'A' ? 'B' : 'A'
      const outcome = await here.tokens.rotate({ refreshToken: token.slice(0, at) + other + token.slice(at + 1) })
      expect(outcome).toMatchObject({ ok: false, reason: expect.stringMatching(/^(malformed|unknown_key)$/) })
    }
    expect(here.store.calls).toEqual([])
    expect(await refresh(here, token)).toBeTruthy()
  })

  it('rejects a token of another family than the request names and changes nothing', async () => {
    const here = world()
    const token = await signIn(here)
    const outcome = await here.tokens.rotate({ refreshToken: token, familyId: 'another' })
    expect(outcome).toEqual({ ok: false, reason: 'other_family' })
    expect(here.store.calls).toEqual([])
    await refresh(here, token, { familyId: onlyRow(here).id })
  })
})

describe('validAfter', () => {
  it('rejects every family of the client that was created before validAfter without a store call', async () => {
    const here = world()
    const token = await signIn(here)
    const next = await refresh(here, token)
    here.quiet()
    for (const refreshToken of [token, next])
      expect(await here.tokens.rotate({ refreshToken, validAfter: START + SECOND })).toEqual({
        ok: false,
        reason: 'superseded',
      })
    expect(here.store.calls).toEqual([])
    await refresh(here, next, { validAfter: START })
  })

  it('rejects a family older than the validAfter of the hook and does not consume the token', async () => {
    let validAfter: number | null = START + 1
    const here = world({ beforeRotate: async () => ({ active: true, validAfter }) })
    const token = await signIn(here)
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'superseded' })
    expect(here.store.calls).toEqual(['find'])
    validAfter = START
    const next = await refresh(here, token)
    validAfter = null
    await refresh(here, next)
  })

  it.each([Number.NaN, '2030-01-01', new Date(START)])(
    'throws for the validAfter %s instead of accepting the token',
    async (validAfter) => {
      const here = world()
      const refreshToken = await signIn(here)
      await expect(here.tokens.rotate({ refreshToken, validAfter } as RotateRequest)).rejects.toThrow(
        /^option "validAfter" must be a finite number of epoch milliseconds/,
      )
      const hooked = here.instance({ beforeRotate: async () => ({ active: true, validAfter: validAfter as number }) })
      await expect(hooked.rotate({ refreshToken })).rejects.toMatchObject({ code: 'hook_failed' })
      expect(onlyRow(here).current.generation).toBe(0)
    },
  )
})

describe('scope and audience', () => {
  it('compares scope tokens as whole names', async () => {
    const here = world()
    const token = await signIn(here, { scope: 'read write' })
    for (const scope of ['read', 'write read'])
      expect(succeeded(await here.tokens.rotate({ refreshToken: token, scope })).scope).toBe(scope)
    const [{ id } = { id: '' }] = [...here.store.rows.values()]
    here.quiet()
    expect(await here.tokens.rotate({ refreshToken: token, scope: 'rea' })).toMatchObject({ reason: 'invalid_scope' })
    expect(here.events).toEqual([
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
    const here = world()
    const token = await signIn(here, grant)
    const outcome = succeeded(await here.tokens.rotate({ refreshToken: token, ...request } as RotateRequest))
    expect(outcome.scope).toBe(scope)
    expect(outcome.family.scope).toBe('a b')
    const after = succeeded(await here.tokens.rotate({ refreshToken: outcome.refreshToken }))
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
    const here = world()
    const refreshToken = await signIn(here, grant)
    const outcome = await here.tokens.rotate({ refreshToken, scope } as RotateRequest)
    expect(outcome).toEqual({ ok: false, reason: 'invalid_scope' })
    expect(here.store.calls).toEqual(['find'])
    await refresh(here, refreshToken)
  })

  it('R-07: rejects a scope if the family has none', async () => {
    const here = world()
    const refreshToken = await signIn(here)
    expect(await here.tokens.rotate({ refreshToken, scope: 'a' })).toMatchObject({ reason: 'invalid_scope' })
  })

  it('R-10: narrows the audience for one response only if the request names a resource of the grant', async () => {
    const here = world()
    const token = await signIn(here, grant)
    const outcome = succeeded(await here.tokens.rotate({ refreshToken: token, audience: ['https://two'] }))
    expect(outcome.audience).toEqual(['https://two'])
    expect(outcome.family.audience).toEqual(grant.audience)
    expect(succeeded(await here.tokens.rotate({ refreshToken: outcome.refreshToken })).audience).toEqual(grant.audience)
  })

  it.each([
    ['another resource than granted', ['https://three']],
    ['a granted resource and another', ['https://one', 'https://three']],
    ['another resource, not in a list', 'https://three'],
    ['objects', [{}]],
    ['null in a list', [null]],
  ])('R-10: rejects %s as audience and does not consume the token', async (_name, audience) => {
    const here = world()
    const refreshToken = await signIn(here, grant)
    const outcome = await here.tokens.rotate({ refreshToken, audience } as RotateRequest)
    expect(outcome).toEqual({ ok: false, reason: 'invalid_target' })
    await refresh(here, refreshToken)
  })

  it('accepts a single resource that is not in a list', async () => {
    const here = world()
    const refreshToken = await signIn(here, grant)
    const outcome = await here.tokens.rotate({ refreshToken, audience: 'https://one' } as unknown as RotateRequest)
    expect(succeeded(outcome).audience).toEqual(['https://one'])
  })

  it('rejects a predecessor with an invalid scope without reuse, even after the grace window', async () => {
    const here = world()
    const token = await signIn(here, grant)
    const next = await refresh(here, token)
    here.advance(HOUR)
    expect(await here.tokens.rotate({ refreshToken: token, scope: 'c' })).toMatchObject({ reason: 'invalid_scope' })
    await refresh(here, next)
  })
})

describe('retries and races', () => {
  it('F-08: returns the identical, valid successor for a retry with the same token', async () => {
    const here = world()
    const token = await signIn(here)
    const next = await refresh(here, token)
    here.advance(30 * SECOND - 1)
    const again = succeeded(await here.tokens.rotate({ refreshToken: token }))
    expect(again.refreshToken).toBe(next)
    expect(again.outcome).toBe('retried')
    expect(here.events.at(-1)).toMatchObject({ type: 'retried', generation: 1, by: 'grace' })
    await refresh(here, next)
  })

  it('F-07: rotates once for 50 concurrent refreshes and returns the same successor to all', async () => {
    const here = world()
    const token = await signIn(here)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => here.instance().rotate({ refreshToken: token })),
    )
    const tokens = new Set(outcomes.map((outcome) => succeeded(outcome).refreshToken))
    expect(tokens.size).toBe(1)
    expect(here.typesSeen().filter((type) => type === 'rotated')).toHaveLength(1)
    expect(onlyRow(here).current.generation).toBe(1)
  })

  it('F-07: accepts one of 50 concurrent refreshes without a grace window and reports reuse once', async () => {
    const here = world({ policy: { graceSeconds: 0 } })
    const token = await signIn(here)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => here.instance().rotate({ refreshToken: token })),
    )
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1)
    expect(here.typesSeen().filter((type) => type === 'reuse')).toHaveLength(1)
  })

  it('returns the successor of the concurrent winner if the loser ran beforeCommit', async () => {
    const here = world()
    const token = await signIn(here)
    let winner = ''
    const outcome = await here.tokens.rotate({
      refreshToken: token,
      beforeCommit: async () => {
        winner = await refresh(here, token)
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
    const here = world()
    const token = await signIn(here)
    const next = await refresh(here, token, one)
    here.advance(after)
    expect(await here.tokens.rotate({ refreshToken: token, ...(two as Partial<RotateRequest>) })).toEqual({
      ok: false,
      reason: 'reuse',
    })
    expect(await here.tokens.rotate({ refreshToken: next })).toEqual({ ok: false, reason: 'revoked' })
  })

  it.each([
    ['22 characters', KEY.slice(0, 22)],
    ['32 characters', KEY],
    ['255 characters', 'x'.repeat(255)],
  ])('F-08: accepts a retry hours later with the Idempotency-Key of the first attempt (%s)', async (_name, key) => {
    const here = world({ policy: { graceSeconds: 0 } })
    const token = await signIn(here)
    const next = await refresh(here, token, { idempotencyKey: key })
    here.advance(7 * HOUR)
    expect(await refresh(here, token, { idempotencyKey: key })).toBe(next)
    expect(here.events.at(-1)).toMatchObject({ type: 'retried', by: 'idempotency_key' })
  })

  it.each([
    ['the default', {}, 12 * HOUR],
    ['sameAttemptSeconds', { sameAttemptSeconds: 60 }, 60 * SECOND],
  ])(
    'F-09: reports reuse for the Idempotency-Key of the rotation after the same-attempt window: %s',
    async (_name, policy, window) => {
      for (const graceSeconds of [0, 30]) {
        const here = world({ policy: { graceSeconds, ...policy } })
        const token = await signIn(here)
        const next = await refresh(here, token, { idempotencyKey: KEY })
        here.advance(window - 1)
        expect(await refresh(here, token, { idempotencyKey: KEY })).toBe(next)
        here.advance(1)
        expect(await here.tokens.rotate({ refreshToken: token, idempotencyKey: KEY })).toEqual({
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
    const here = world()
    const token = await signIn(here)
    await refresh(here, token, one)
    await refresh(here, token, two)
    expect(here.events.at(-1)).toMatchObject({ type: 'retried', attempt })
  })

  it('F-07: returns the same successor to 50 concurrent refreshes with one key if only the same attempt is accepted', async () => {
    const here = world({ policy: { grace: 'same-attempt' } })
    const token = await signIn(here)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () => here.instance().rotate({ refreshToken: token, idempotencyKey: KEY })),
    )
    expect(new Set(outcomes.map((outcome) => succeeded(outcome).refreshToken)).size).toBe(1)
  })

  it('F-07: accepts one of 50 concurrent attempts and reports reuse once if only the same attempt is accepted', async () => {
    const here = world({ policy: { grace: 'same-attempt' } })
    const token = await signIn(here)
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        here.instance().rotate({ refreshToken: token, idempotencyKey: `${KEY}-${String(index)}` }),
      ),
    )
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1)
    expect(here.typesSeen().filter((type) => type === 'reuse')).toHaveLength(1)
  })

  it('inspects a predecessor as rotate would handle it without a key', async () => {
    const here = world({ policy: { grace: 'same-attempt' } })
    const [keyed, unkeyed] = [await signIn(here), await signIn(here)]
    await refresh(here, keyed, { idempotencyKey: KEY })
    await refresh(here, unkeyed)
    expect(await here.tokens.inspect(keyed)).toEqual({ active: false, reason: 'reuse' })
    expect(await here.tokens.inspect(unkeyed)).toMatchObject({ active: true })
  })

  it('F-09: reports reuse after the successor was used, in the grace window and with the Idempotency-Key too', async () => {
    for (const request of [{}, { idempotencyKey: KEY }]) {
      const here = world()
      const token = await signIn(here)
      await refresh(here, await refresh(here, token, request))
      expect(await here.tokens.rotate({ refreshToken: token, ...request })).toEqual({ ok: false, reason: 'reuse' })
    }
  })

  it('F-09: does not extend the grace window with retries', async () => {
    const here = world()
    const token = await signIn(here)
    await refresh(here, token)
    for (let second = 0; second < 29; second++) {
      here.advance(SECOND)
      await refresh(here, token)
    }
    here.advance(SECOND)
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('F-11: writes nothing and extends no lifetime for a retry', async () => {
    const here = world()
    const token = await signIn(here)
    await refresh(here, token, { idempotencyKey: KEY })
    const before = structuredClone(onlyRow(here))
    for (let again = 0; again < 100; again++) {
      here.advance(MINUTE)
      await refresh(here, token, { idempotencyKey: KEY })
    }
    expect(onlyRow(here)).toEqual(before)
  })

  it('reports reuse for an older token although its Idempotency-Key is the same', async () => {
    const here = world()
    const token = await signIn(here)
    const next = await refresh(here, token, { idempotencyKey: KEY })
    await refresh(here, next, { idempotencyKey: KEY })
    expect(await here.tokens.rotate({ refreshToken: token, idempotencyKey: KEY })).toEqual({
      ok: false,
      reason: 'reuse',
    })
  })

  it('F-10: returns no successor to another key or client and does not revoke the family', async () => {
    const here = world()
    const token = await signIn(here, { clientId: 'b', confirmation: { jkt: 'mine' } })
    const own = { clientId: 'b', confirmation: { jkt: 'mine' } }
    const next = await refresh(here, token, own)
    for (const theirs of [
      { confirmation: { jkt: 'theirs' } },
      { confirmation: null },
      { clientId: 'x' },
      { confirmation: { 'x5t#S256': 'mine' } },
    ])
      expect(await here.tokens.rotate({ refreshToken: token, ...own, ...theirs })).toEqual({
        ok: false,
        reason: 'mismatch',
      })
    expect(await refresh(here, token, own)).toBe(next)
  })
})

describe('reuse', () => {
  it('F-02, F-03: revokes the family for a predecessor after the grace window and emits one reuse event', async () => {
    const here = world()
    const token = await signIn(here)
    const next = await refresh(here, token)
    here.advance(HOUR)
    here.quiet()
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
    expect(here.events).toEqual([
      {
        type: 'reuse',
        at: START + HOUR,
        familyId: onlyRow(here).id,
        subject: 'alice',
        clientId: 'first-party',
        generation: 1,
        presentedGeneration: 0,
      },
    ])
    expect(onlyRow(here).revocation).toMatchObject({ at: START + HOUR, reason: 'reuse' })
    for (const refreshToken of [token, next])
      expect(await here.tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect(here.typesSeen()).toEqual(['reuse', 'rejected', 'rejected'])
  })

  it.each([0, 1, 2, 3])('F-04: revokes the family for generation %d of a chain of 5', async (generation) => {
    const here = world()
    const chain = [await signIn(here)]
    for (let step = 0; step < 5; step++) chain.push(await refresh(here, chain.at(-1)!))
    expect(await here.tokens.rotate({ refreshToken: chain[generation]! })).toEqual({ ok: false, reason: 'reuse' })
    expect(await here.tokens.rotate({ refreshToken: chain[5]! })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('F-04: revokes the family for an ancestor that has itself expired', async () => {
    const here = world({ policy: { idleSeconds: 3600 } })
    const token = await signIn(here)
    let last = token
    for (let step = 0; step < 4; step++) {
      here.advance(30 * MINUTE)
      last = await refresh(here, last)
    }
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('F-05: keeps another login of the same subject and client active after reuse', async () => {
    const here = world()
    const other = await signIn(here)
    const token = await signIn(here)
    await refresh(here, await refresh(here, token))
    expect(await here.tokens.rotate({ refreshToken: token })).toMatchObject({ reason: 'reuse' })
    await refresh(here, other)
  })

  it('F-14: does not revoke the family for a replay with a wrong key or client', async () => {
    const here = world()
    const token = await signIn(here, { confirmation: { jkt: 'mine' } })
    const next = await refresh(here, token, { confirmation: { jkt: 'mine' } })
    here.advance(HOUR)
    for (const request of [{ confirmation: { jkt: 'theirs' } }, { clientId: 'x', confirmation: { jkt: 'mine' } }, {}])
      expect(await here.tokens.rotate({ refreshToken: token, ...request })).toEqual({ ok: false, reason: 'mismatch' })
    expect(here.typesSeen().slice(-3)).toEqual(['rejected', 'rejected', 'rejected'])
    await refresh(here, next, { confirmation: { jkt: 'mine' } })
  })

  it('returns "revoked" without a second event if a concurrent call revokes the family for reuse first', async () => {
    const here = world()
    const token = await signIn(here)
    await refresh(here, token)
    here.advance(HOUR)
    here.quiet()
    here.store.beforeNext('revoke', () => here.tokens.rotate({ refreshToken: token }))
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'revoked' })
    expect(here.typesSeen()).toEqual(['reuse', 'rejected'])
  })
})

describe('lifetimes', () => {
  it('X-01: rotates up to the absolute expiry set at issue and not beyond', async () => {
    const here = world({ policy: { absoluteSeconds: 8 * 3600 } })
    let token = await signIn(here)
    for (let step = 0; step < 47; step++) {
      here.advance(10 * MINUTE)
      token = await refresh(here, token)
    }
    here.clock.now = START + 8 * HOUR - SECOND
    token = await refresh(here, token)
    here.clock.now = START + 8 * HOUR + SECOND
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'expired' })
  })

  it('X-02: counts the absolute lifetime from the login and not from the last rotation', async () => {
    const here = world({ policy: { absoluteSeconds: 90 * 86_400 } })
    let token = await signIn(here)
    for (let step = 0; step < 3; step++) {
      here.advance(25 * DAY)
      token = await refresh(here, token)
    }
    expect(onlyRow(here).lifetime.absoluteExpiresAt).toBe(START + 90 * DAY)
    here.clock.now = START + 90 * DAY
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'expired' })
  })

  it('X-03: restarts the idle limit at each use, up to the absolute expiry', async () => {
    const here = world({ policy: { idleSeconds: 600, absoluteSeconds: 1000 } })
    let token = await signIn(here)
    here.advance(599 * SECOND)
    const outcome = succeeded(await here.tokens.rotate({ refreshToken: token }))
    expect(outcome.family.expiresAt).toBe(START + 1000 * SECOND)
    token = outcome.refreshToken
    here.clock.now = START + 999 * SECOND
    await refresh(here, token)
  })

  it('X-03: rejects a token after a pause longer than the idle limit', async () => {
    const here = world({ policy: { idleSeconds: 600 } })
    const token = await signIn(here)
    here.advance(601 * SECOND)
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'expired' })
  })

  it('X-05: treats the instant of expiry as expired, for the idle and the absolute limit', async () => {
    for (const policy of [{ idleSeconds: 60 }, { idleSeconds: null, absoluteSeconds: 60 }]) {
      const here = world({ policy })
      const token = await signIn(here)
      here.advance(60 * SECOND)
      expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'expired' })
      here.advance(-1)
      await refresh(here, token)
    }
  })

  it('X-06: gives beforeCommit the expiry that the family will have', async () => {
    const here = world({ policy: { idleSeconds: 600, absoluteSeconds: 1000 } })
    const token = await signIn(here)
    const ends: number[] = []
    const beforeCommit: RotateRequest<unknown>['beforeCommit'] = async ({ family }) =>
      ends.push(family.expiresAt - here.clock.now)
    here.advance(300 * SECOND)
    const next = await refresh(here, token, { beforeCommit, idempotencyKey: KEY })
    expect(ends.at(-1)).toBe(600 * SECOND)
    here.advance(100 * SECOND)
    await refresh(here, token, { beforeCommit, idempotencyKey: KEY })
    expect(ends.at(-1)).toBe(500 * SECOND)
    here.clock.now = START + 890 * SECOND
    await refresh(here, next, { beforeCommit })
    expect(ends.at(-1)).toBe(110 * SECOND)
  })

  it('applies the offline limits to an offline family', async () => {
    const here = world({
      policy: { idleSeconds: 60, absoluteSeconds: 120, offline: { idleSeconds: null, absoluteSeconds: 86_400 } },
    })
    const token = await signIn(here, { offline: true })
    expect(onlyRow(here)).toMatchObject({
      grant: { offline: true },
      lifetime: { idleMs: null },
      expiresAt: START + DAY,
    })
    here.advance(DAY - 1)
    const next = await refresh(here, token)
    here.advance(1)
    expect(await here.tokens.rotate({ refreshToken: next })).toEqual({ ok: false, reason: 'expired' })
  })
})

describe('rotation never', () => {
  const policy = { rotation: 'never', idleSeconds: 600, absoluteSeconds: 1000 } as const

  it('F-15: returns the same token in one store call that moves only the idle expiry', async () => {
    const here = world({ policy })
    const token = await signIn(here)
    const before = onlyRow(here)
    here.advance(100 * SECOND)
    const outcome = succeeded(await here.tokens.rotate({ refreshToken: token, confidential: true }))
    expect(outcome.refreshToken).toBe(token)
    expect(outcome.outcome).toBe('renewed')
    expect(outcome.family.lastUsedAt).toBe(START + 100 * SECOND)
    expect(here.store.calls).toEqual(['rotate'])
    expect(onlyRow(here)).toEqual({ ...before, expiresAt: START + 700 * SECOND })
    expect(here.events).toMatchObject([{ type: 'renewed', generation: 0 }])
  })

  it('F-15: does not change the absolute expiry', async () => {
    const here = world({ policy })
    const token = await signIn(here)
    const own = { refreshToken: token, confidential: true }
    here.advance(500 * SECOND)
    await here.tokens.rotate(own)
    here.clock.now = START + 1000 * SECOND
    expect(await here.tokens.rotate(own)).toEqual({ ok: false, reason: 'expired' })
  })

  it('does not rotate a bound family with its proof, nor a confidential client that the request exempts', async () => {
    const here = world({ policy })
    const token = await signIn(here, { confirmation: { jkt: 'mine' } })
    expect(await refresh(here, token, { confirmation: { jkt: 'mine' } })).toBe(token)
    const rotating = world()
    const other = await signIn(rotating)
    expect(await refresh(rotating, other, { confidential: true, rotation: 'never' })).toBe(other)
    expect(await refresh(rotating, other, { rotation: 'never' })).not.toBe(other)
  })

  it('runs the hooks before it renews a token', async () => {
    const here = world({ policy, beforeRotate: async () => ({ active: true, claims: { role: 'admin' } }) })
    const token = await signIn(here)
    const outcome = await here.tokens.rotate({ refreshToken: token, confidential: true })
    expect(outcome).toMatchObject({ ok: true, outcome: 'renewed', claims: { role: 'admin' } })
    expect(here.store.calls).toEqual(['find', 'rotate'])
  })

  it('rejects a renewed token after the family is revoked', async () => {
    const here = world({ policy })
    const token = await signIn(here)
    await here.tokens.revoke({ refreshToken: token })
    expect(await here.tokens.rotate({ refreshToken: token, confidential: true })).toEqual({
      ok: false,
      reason: 'revoked',
    })
  })

  it('accepts a retry of a rotation that was made under another policy', async () => {
    const here = world()
    const token = await signIn(here)
    const next = await refresh(here, token)
    const renewing = here.instance({ policy })
    expect(await renewing.rotate({ refreshToken: token, confidential: true })).toMatchObject({ refreshToken: next })
  })
})

describe('bound families', () => {
  const own = { confirmation: { jkt: 'mine' } }

  it('rotates a bound family only with the proof of its key', async () => {
    const here = world()
    const token = await signIn(here, own)
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'mismatch' })
    expect(here.store.calls).toEqual([])
    expect(await here.tokens.rotate({ refreshToken: token, confirmation: { jkt: 'theirs' } })).toMatchObject({
      reason: 'mismatch',
    })
    expect(here.store.calls).toEqual(['rotate'])
    const next = await refresh(here, token, own)
    await refresh(here, next, own)
  })

  it('does not check the rate limit of a bound family without a proof', async () => {
    const here = world()
    const token = await signIn(here, own)
    const admit = vi.fn(async () => true)
    await here.tokens.rotate({ refreshToken: token, checkRateLimit: admit })
    expect(admit).not.toHaveBeenCalled()
  })

  it('ignores a proof if the family is unbound', async () => {
    const here = world()
    const token = await signIn(here)
    await refresh(here, await refresh(here, token, own), { confirmation: { jkt: 'another' } })
  })
})

describe('lost rotations', () => {
  it('heals a family after one lost rotation and returns the same successor to a retry', async () => {
    const here = world()
    const token = await signIn(here)
    const second = await refresh(here, token)
    here.store.rollBack(1)
    here.quiet()
    const healed = succeeded(await here.tokens.rotate({ refreshToken: second }))
    expect(healed).toMatchObject({ outcome: 'healed', family: { generation: 2 } })
    expect(here.events).toMatchObject([{ type: 'healed', generation: 2 }])
    expect(await refresh(here, second)).toBe(healed.refreshToken)
    await refresh(here, healed.refreshToken)
  })

  it('heals a family after one lost rotation and returns the same successor to two concurrent requests', async () => {
    const here = world()
    const second = await refresh(here, await signIn(here))
    here.store.rollBack(1)
    const outcomes = await Promise.all([1, 2].map(() => here.instance().rotate({ refreshToken: second })))
    expect(new Set(outcomes.map((outcome) => succeeded(outcome).refreshToken)).size).toBe(1)
  })

  it('revokes the family if both the predecessor and the successor are used after a lost rotation', async () => {
    const here = world()
    const first = await signIn(here)
    const second = await refresh(here, first)
    here.store.rollBack(1)
    const thief = await refresh(here, first)
    expect(await here.tokens.rotate({ refreshToken: second })).toEqual({ ok: false, reason: 'reuse' })
    expect(await here.tokens.rotate({ refreshToken: thief })).toEqual({ ok: false, reason: 'revoked' })
  })

  it('heals a family only for its key and its client', async () => {
    const here = world()
    const second = await refresh(here, await signIn(here, { confirmation: { jkt: 'mine' } }), {
      confirmation: { jkt: 'mine' },
    })
    here.store.rollBack(1)
    expect(await here.tokens.rotate({ refreshToken: second, confirmation: { jkt: 'theirs' } })).toMatchObject({
      reason: 'mismatch',
    })
    expect(succeeded(await here.tokens.rotate({ refreshToken: second, confirmation: { jkt: 'mine' } })).outcome).toBe(
      'healed',
    )
  })

  it('revokes the family after two lost rotations and does not report reuse', async () => {
    const here = world()
    const third = await refresh(here, await refresh(here, await signIn(here)))
    here.store.rollBack(2)
    here.quiet()
    expect(await here.tokens.rotate({ refreshToken: third })).toEqual({ ok: false, reason: 'rollback' })
    expect(here.events).toMatchObject([
      { type: 'revoked', reason: 'rollback' },
      { type: 'rejected', reason: 'rollback' },
    ])
    expect(onlyRow(here).revocation?.reason).toBe('rollback')
    expect(await here.tokens.rotate({ refreshToken: third })).toEqual({ ok: false, reason: 'revoked' })
  })
})

describe('rotation of secrets', () => {
  it('changes secrets in three steps without a rejected token, and a retry in between gets the same successor', async () => {
    const here = world()
    const instances = [
      here.instance({ secrets: [OLD_SECRET] }),
      here.instance({ secrets: [OLD_SECRET, NEW_SECRET] }),
      here.instance({ secrets: [NEW_SECRET, OLD_SECRET] }),
      here.instance({ secrets: [NEW_SECRET] }),
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
        if (newer === 3) token = succeeded(await instances[2]!.rotate({ refreshToken: token })).refreshToken
        const next = succeeded(await instances[one]!.rotate({ refreshToken: token }))
        const retry = succeeded(await instances[two]!.rotate({ refreshToken: token }))
        expect(retry.refreshToken).toBe(next.refreshToken)
        token = next.refreshToken
      }
    }
    expect(here.typesSeen()).not.toContain('rejected')
  })

  it('derives the successor under the current key after a read or a healed rotation, and a retry gets the same', async () => {
    const here = world()
    const first = await signIn(here)
    const newer = here.instance({ secrets: [NEW_SECRET, OLD_SECRET] })
    const worked = { refreshToken: first, beforeCommit: async () => 'access' }
    const second = succeeded(await newer.rotate(worked)).refreshToken
    expect(succeeded(await newer.rotate(worked)).refreshToken).toBe(second)
    here.store.rollBack(1)
    const healed = succeeded(await newer.rotate({ refreshToken: second }))
    expect(healed.outcome).toBe('healed')
    expect(succeeded(await newer.rotate({ refreshToken: second })).refreshToken).toBe(healed.refreshToken)
  })

  it('rejects a token under a newer key that is not in the key ring and does not revoke the family', async () => {
    const here = world()
    const token = await signIn(here)
    const next = succeeded(await here.instance({ secrets: [NEW_SECRET, OLD_SECRET] }).rotate({ refreshToken: token }))
    expect(await here.tokens.rotate({ refreshToken: next.refreshToken })).toEqual({ ok: false, reason: 'unknown_key' })
    expect(onlyRow(here).revocation).toBeNull()
  })

  it('throws an OperationalError and reports no reuse for a retry if the key of the record is missing', async () => {
    for (const [graceSeconds, request] of [
      [30, {}],
      [0, { idempotencyKey: KEY }],
    ] as const) {
      const here = world({ policy: { graceSeconds } })
      const token = await signIn(here)
      const ahead = here.instance({ secrets: [NEW_SECRET, OLD_SECRET] })
      await ahead.rotate({ refreshToken: token, ...request })
      here.quiet()
      const fault = await here.tokens.rotate({ refreshToken: token, ...request }).catch((error: unknown) => error)
      expect(fault).toBeInstanceOf(OperationalError)
      expect(fault).toMatchObject({
        code: 'record_key_missing',
        message: expect.stringMatching(/^the family was rotated with the key \S{4}, which is not in secrets/),
      })
      expect(here.events).toMatchObject([{ type: 'fault', code: 'record_key_missing', operation: 'rotate' }])
      expect(onlyRow(here).revocation).toBeNull()
      if (graceSeconds > 0) {
        await expect(here.tokens.inspect(token)).rejects.toMatchObject({ code: 'record_key_missing' })
        expect(here.events.at(-1)).toMatchObject({ code: 'record_key_missing', operation: 'inspect' })
      }
      succeeded(await ahead.rotate({ refreshToken: token, ...request }))
    }
  })
})

describe('hooks', () => {
  it('F-12: rejects an inactive subject and does not consume the token', async () => {
    let active = false
    const here = world({ beforeRotate: async () => ({ active }) })
    const token = await signIn(here)
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({
      ok: false,
      reason: 'inactive',
    })
    expect(here.store.calls).toEqual(['find'])
    active = true
    await refresh(here, token)
  })

  it('calls beforeRotate before each response with tokens, and gives beforeCommit its result', async () => {
    const beforeRotate = vi.fn(async () => ({ active: true, claims: { role: 'admin' } }))
    const here = world({ beforeRotate })
    const token = await signIn(here, { scope: 'a b' })
    const beforeCommit: RotateRequest<string>['beforeCommit'] = async ({ claims, scope, family }) =>
      `${String(claims['role'])} ${scope} ${family.subject}`
    const ask = (refreshToken: string) => here.tokens.rotate({ refreshToken, beforeCommit, scope: 'b' })
    const rotated = succeeded(await ask(token))
    const retried = succeeded(await ask(token))
    here.store.rollBack(1)
    const healed = succeeded(await ask(rotated.refreshToken))
    expect([rotated, retried, healed].map(({ outcome }) => outcome)).toEqual(['rotated', 'retried', 'healed'])
    for (const outcome of [rotated, retried, healed])
      expect(outcome).toMatchObject({ prepared: 'admin b alice', claims: { role: 'admin' }, scope: 'b' })
    expect(beforeRotate).toHaveBeenCalledTimes(3)
  })

  it('does not call beforeRotate for a token that is rejected', async () => {
    const beforeRotate = vi.fn(async () => undefined)
    const here = world({ beforeRotate })
    const token = await signIn(here)
    await here.tokens.rotate({ refreshToken: token, clientId: 'x' })
    await here.tokens.revoke({ refreshToken: token })
    await here.tokens.rotate({ refreshToken: token })
    expect(beforeRotate).not.toHaveBeenCalled()
  })

  it('calls beforeCommit once even if a concurrent call wins the swap', async () => {
    const here = world()
    const token = await signIn(here)
    const prepare = vi.fn(async () => undefined)
    here.store.beforeNext('rotate', () => here.tokens.rotate({ refreshToken: token }))
    expect(await here.tokens.rotate({ refreshToken: token, beforeCommit: prepare })).toMatchObject({
      outcome: 'retried',
    })
    expect(prepare).toHaveBeenCalledTimes(1)
  })

  it('gives beforeRotate the time of the previous use', async () => {
    const seen: number[] = []
    const here = world({
      beforeRotate: async ({ family }) => {
        seen.push(family.lastUsedAt)
        return undefined
      },
    })
    const token = await signIn(here)
    here.advance(DAY)
    await refresh(here, token, { beforeCommit: async () => undefined })
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
      const here = world()
      const token = await signIn(here)
      const failing = here.instance(options)
      const fault = await failing.rotate({ refreshToken: token, ...request }).catch((error: unknown) => error)
      expect(fault).toBeInstanceOf(OperationalError)
      expect(fault).toMatchObject({ code: 'hook_failed', cause: { message: 'user database down' } })
      expect(here.events).toEqual([{ type: 'fault', at: START, code: 'hook_failed', operation }])
      expect(onlyRow(here)).toMatchObject({ current: { generation: 0 }, revocation: null, expiresAt: START + 30 * DAY })
      await refresh(here, token)
    },
  )

  it('throws an OperationalError for claims that an access token cannot contain, and does not consume the token', async () => {
    const here = world({ beforeRotate: async () => ({ active: true, claims: { big: 1n } }) })
    const token = await signIn(here)
    await expect(here.tokens.rotate({ refreshToken: token })).rejects.toMatchObject({ code: 'hook_failed' })
    expect(here.store.calls).toEqual(['find'])
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
    async (_name, verdict) => {
      const here = world({ beforeRotate: async () => verdict as never })
      const token = await signIn(here)
      await expect(here.tokens.rotate({ refreshToken: token })).rejects.toMatchObject({
        code: 'hook_failed',
        cause: { code: 'invalid_option', message: expect.stringMatching(/^option "beforeRotate[".]/) },
      })
      expect(onlyRow(here).current.generation).toBe(0)
    },
  )

  it('F-11, F-12: rejects a rate-limited request before any store call', async () => {
    const here = world()
    const token = await signIn(here)
    const admit = vi.fn(async () => false)
    expect(await here.tokens.rotate({ refreshToken: token, checkRateLimit: admit })).toEqual({
      ok: false,
      reason: 'rate_limited',
    })
    const { id: familyId, grant } = onlyRow(here)
    const { clientId } = grant
    expect(admit).toHaveBeenCalledExactlyOnceWith({ familyId, clientId, confirmation: null })
    expect(here.store.calls).toEqual([])
    await refresh(here, token, { checkRateLimit: async () => true })
  })

  it('reports reuse for a retry if its successor is used while beforeCommit runs', async () => {
    const here = world()
    const token = await signIn(here)
    const next = await refresh(here, token)
    const outcome = await here.tokens.rotate({
      refreshToken: token,
      beforeCommit: async () => refresh(here, next),
    })
    expect(outcome).toEqual({ ok: false, reason: 'reuse' })
  })

  it('accepts a retry that arrived in its window although beforeCommit takes longer', async () => {
    const here = world()
    const token = await signIn(here)
    const next = await refresh(here, token)
    here.advance(29 * SECOND)
    expect(await refresh(here, token, { beforeCommit: async () => here.advance(HOUR) })).toBe(next)
  })

  it('does not report reuse for the loser of a race although its beforeCommit takes longer than the window', async () => {
    const here = world()
    const token = await signIn(here)
    const slow = async () => {
      await refresh(here, token)
      here.advance(HOUR)
    }
    expect(await here.tokens.rotate({ refreshToken: token, beforeCommit: slow })).toMatchObject({ outcome: 'retried' })
  })

  it('rejects a token as expired if the family expires while beforeCommit runs', async () => {
    const here = world()
    const token = await signIn(here)
    const slow = async () => here.advance(365 * DAY)
    expect(await here.tokens.rotate({ refreshToken: token, beforeCommit: slow })).toEqual({
      ok: false,
      reason: 'expired',
    })
  })

  it.each(['rotated', 'retried'])(
    'returns no token if the family is revoked while beforeCommit runs (%s)',
    async (how) => {
      const here = world()
      const token = await signIn(here)
      if (how === 'retried') await refresh(here, token)
      const outcome = await here.tokens.rotate({
        refreshToken: token,
        beforeCommit: async () => here.tokens.revoke({ refreshToken: token }),
      })
      expect(outcome).toEqual({ ok: false, reason: 'revoked' })
    },
  )

  it('rejects a token as unknown if the family is purged while beforeCommit runs', async () => {
    const here = world()
    const token = await signIn(here)
    const outcome = await here.tokens.rotate({
      refreshToken: token,
      beforeCommit: async () => here.store.rows.clear(),
    })
    expect(outcome).toEqual({ ok: false, reason: 'unknown' })
  })
})

describe('drivers that execute a command twice', () => {
  it('issues, rotates and revokes once, with one event each, if the driver executes each command twice', async () => {
    const here = world()
    here.store.executeTwice(['create', 'rotate', 'revoke'])
    const { refreshToken } = await here.tokens.issue({ subject: 'alice' })
    const next = succeeded(await here.tokens.rotate({ refreshToken }))
    expect(next).toMatchObject({ outcome: 'rotated', family: { generation: 1 } })
    await here.tokens.revoke({ refreshToken })
    expect(here.typesSeen()).toEqual(['issued', 'rotated', 'revoked'])
  })

  it('reports reuse exactly once if the driver executes the revocation twice', async () => {
    const here = world()
    const token = await signIn(here)
    await refresh(here, await refresh(here, token))
    here.quiet()
    here.store.executeTwice(['revoke'])
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
    expect(here.typesSeen()).toEqual(['reuse'])
  })

  it('I15: reports reuse exactly once if the driver executes the revocation twice with a purge in between', async () => {
    const here = world()
    const token = await signIn(here)
    await refresh(here, await refresh(here, token))
    here.quiet()
    here.store.executeTwice(['revoke'], () => here.tokens.purge())
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
    expect(here.typesSeen()).toEqual(['reuse'])
    expect(here.store.rows.size).toBe(0)
  })

  it('renews once if the driver executes the command twice', async () => {
    const here = world({ policy: { rotation: 'never' } })
    const token = await signIn(here)
    here.store.executeTwice(['rotate'])
    expect(await refresh(here, token, { confidential: true })).toBe(token)
    expect(here.typesSeen()).toEqual(['renewed'])
  })

  it('recognizes its own rotation if a retry has used the successor between two executions of the command', async () => {
    const here = world()
    const token = await signIn(here)
    let other = ''
    let last = ''
    here.store.executeTwice(['rotate'], async () => {
      other = await refresh(here, token)
      last = await refresh(here, other)
    })
    const outcome = succeeded(await here.tokens.rotate({ refreshToken: token }))
    expect(outcome).toMatchObject({ outcome: 'rotated', refreshToken: other })
    expect(here.typesSeen()).toEqual(['retried', 'rotated', 'rotated'])
    expect(here.events.at(-1)).toMatchObject({ generation: 1 })
    await refresh(here, last)
  })

  it('does not mistake the rotation of another caller for its own', async () => {
    const here = world()
    const token = await signIn(here)
    here.store.beforeNext('rotate', async () => refresh(here, await refresh(here, token)))
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('does not return a successor if the family is revoked between two executions of the command', async () => {
    const here = world()
    const token = await signIn(here)
    here.store.executeTwice(['rotate'], () => here.tokens.revoke({ refreshToken: token }))
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'revoked' })
  })
})

describe('store failures', () => {
  it.each([
    ['before it wrote', false],
    ['after it wrote', true],
  ])(
    'F-12, F-16: throws an OperationalError if the store fails %s, and the same token remains valid',
    async (_name, written) => {
      const here = world()
      const token = await signIn(here)
      here.store.failNext('rotate', { written })
      const fault = await here.tokens.rotate({ refreshToken: token }).catch((error: unknown) => error)
      expect(fault).toBeInstanceOf(StoreError)
      expect(fault).toMatchObject({ code: 'store_failed', cause: { message: /connection/ } })
      expect(here.events).toEqual([{ type: 'fault', at: START, code: 'store_failed', operation: 'store.rotate' }])
      expect(succeeded(await here.tokens.rotate({ refreshToken: token })).outcome).toBe(written ? 'retried' : 'rotated')
    },
  )

  it('throws if the store fails to revoke for reuse, and the next replay revokes the family', async () => {
    const here = world()
    const token = await signIn(here)
    await refresh(here, await refresh(here, token))
    here.store.failNext('revoke')
    await expect(here.tokens.rotate({ refreshToken: token })).rejects.toThrow(StoreError)
    expect(await here.tokens.rotate({ refreshToken: token })).toEqual({ ok: false, reason: 'reuse' })
  })

  it('throws a StoreError after the store timeout, and a retry finds the written rotation', async () => {
    vi.useFakeTimers()
    try {
      const here = world({ storeTimeoutSeconds: 2 })
      const token = await signIn(here)
      here.store.hangNext('rotate')
      const attempt = here.tokens.rotate({ refreshToken: token }).catch((error: unknown) => error)
      await vi.advanceTimersByTimeAsync(1999)
      expect(here.events).toEqual([])
      await vi.advanceTimersByTimeAsync(1)
      expect(await attempt).toMatchObject({ name: 'StoreError', code: 'store_timeout' })
      expect(here.events).toMatchObject([{ type: 'fault', code: 'store_timeout', operation: 'store.rotate' }])
      expect(vi.getTimerCount()).toBe(0)
      expect(succeeded(await here.tokens.rotate({ refreshToken: token })).outcome).toBe('retried')
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it.each(['find', 'list', 'purge'] as const)('emits a fault event if store.%s fails', async (method) => {
    const here = world()
    const token = await signIn(here)
    here.store.failNext(method)
    const call = {
      find: () => here.tokens.inspect(token),
      list: () => here.tokens.list({ subject: 'alice' }),
      purge: () => here.tokens.purge(),
    }[method]
    await expect(call()).rejects.toMatchObject({ code: 'store_failed' })
    expect(here.typesSeen()).toEqual(['fault'])
  })

  it('throws an OperationalError after three swaps that the store neither applies nor explains', async () => {
    const here = world()
    const token = await signIn(here)
    const { store } = here
    const stuck = here.instance({
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
    expect(here.events).toMatchObject([{ type: 'fault', code: 'contended', operation: 'rotate' }])
    expect(store.calls).toEqual(['rotate', 'rotate', 'rotate'])
    expect(here.typesSeen()).toEqual(['fault'])
    await refresh(here, token)
  })

  it('succeeds in the third attempt after two lost swaps', async () => {
    const here = world()
    const token = await signIn(here)
    const { store } = here
    let lost = 2
    const busy = here.instance({
      store: { ...store, rotate: (command) => (lost-- > 0 ? store.find(command.id) : store.rotate(command)) },
    })
    expect(succeeded(await busy.rotate({ refreshToken: token })).outcome).toBe('rotated')
  })

  it.each([
    ['undefined', () => undefined],
    ['another family', () => ({ ...onlyRow(world()), id: 'another' })],
    ['a string', () => 'OK'],
  ])('throws a StoreError if the store returns %s', async (_name, answer) => {
    const here = world()
    const token = await signIn(here)
    const broken = here.instance({
      store: { ...here.store, find: answer as never, rotate: answer as never, revoke: answer as never },
    })
    for (const call of [
      () => broken.rotate({ refreshToken: token }),
      () => broken.inspect(token),
      () => broken.revoke({ refreshToken: token }),
    ])
      await expect(call()).rejects.toMatchObject({ name: 'StoreError', code: expect.stringMatching(/^store_/) })
    expect(here.typesSeen()).toEqual(['fault', 'fault', 'fault'])
  })

  it('throws a StoreError if the store creates another record than it was given', async () => {
    const here = world()
    const broken = here.instance({
      store: {
        ...here.store,
        create: async (record) => ({ ...record, current: { ...record.current, verifier: 'else' as never } }),
      },
    })
    await expect(broken.issue({ subject: 'alice' })).rejects.toMatchObject({
      code: 'store_broken',
      message: 'store.create returned another family than the one it was given',
    })
    const silent = here.instance({ store: { ...here.store, create: async () => null as never } })
    await expect(silent.issue({ subject: 'alice' })).rejects.toMatchObject({
      code: 'store_broken',
      message: 'store.create returned null',
    })
    const fault = { type: 'fault', at: START, code: 'store_broken', operation: 'store.create' }
    expect(here.events).toEqual([fault, fault])
  })

  it.each([
    ['create', (tokens: RefreshTokens) => tokens.issue({ subject: 'alice' })],
    ['find', (tokens: RefreshTokens) => tokens.find('A'.repeat(22))],
    // A revocation reads first. `reported-ends.test.ts` tests revocations whose write fails.
    ['find', (tokens: RefreshTokens) => tokens.revoke({ familyId: 'A'.repeat(22) })],
    ['list', (tokens: RefreshTokens) => tokens.list({ subject: 'alice' })],
    ['purge', (tokens: RefreshTokens) => tokens.purge()],
    ['claimOnce', (tokens: RefreshTokens) => tokens.consumeOnce({ purpose: 'test', key: 'key', expiresAt: START + 1 })],
  ] as const)('names the failed method in the error and the event if store.%s fails', async (method, call) => {
    const here = world()
    here.store.failNext(method)
    await expect(call(here.tokens)).rejects.toMatchObject({
      name: 'StoreError',
      code: 'store_failed',
      message: `store.${method} failed`,
      cause: { message: 'connection refused' },
    })
    expect(here.events).toEqual([{ type: 'fault', at: START, code: 'store_failed', operation: `store.${method}` }])
  })

  it.each([
    ['undefined', undefined],
    ['another family', { id: 'another' }],
  ])('describes the result in the message if store.find returns %s', async (what, answer) => {
    const here = world()
    const id = 'A'.repeat(22)
    const tokens = here.instance({ store: { ...here.store, find: async () => answer as never } })
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
              const answer: unknown = await (method as (...given: unknown[]) => unknown)(...given)
              seen.push(given, answer)
              return answer
            },
      ]),
    ) as unknown as typeof store
    const here = world({ store: recording }, { store })
    const handed: string[] = []
    const note = (token: string) => {
      handed.push(token)
      return token
    }
    const first = note((await here.tokens.issue({ subject: 'alice' })).refreshToken)
    const second = note(await refresh(here, first, { idempotencyKey: KEY }))
    note(await refresh(here, first))
    store.rollBack(1)
    const third = note(await refresh(here, second))
    note(await refresh(here, third))
    await here.tokens.rotate({ refreshToken: second })
    store.failNext('rotate')
    seen.push(await here.tokens.rotate({ refreshToken: third }).catch((error: unknown) => String(error)))
    seen.push(here.events, [...store.rows.values()])

    const everything = JSON.stringify(seen)
    for (const token of handed) {
      const bytes = Buffer.from(token.slice(4), 'base64url')
      const parts = { handle: bytes.subarray(4, 20), secret: bytes.subarray(28, 52), tag: bytes.subarray(68) }
      expect(everything).not.toContain(token)
      for (const part of Object.values(parts))
        for (const encoding of ['base64url', 'base64', 'hex'] as const)
          expect(everything).not.toContain(part.toString(encoding).slice(0, 20))
    }
    for (const secret of [OLD_SECRET, KEY]) expect(everything).not.toContain(secret)
  })
})
