import { describe, expect, it } from 'vitest'
import type { LegacyGrant, RefreshTokensOptions, TokenStore } from '../../src/index.js'
import { DAY, HOUR, MINUTE, SECOND, START, expectOk, testStore, createSetup } from '../setup.js'

const LEGACY_TOKEN = 'a-token-of-the-old-system'
const MAX_NUMBER = 8.64e15

/** Rejects every number that a typed column would reject, as SQLite and PostgreSQL do, and records all arguments. */
function typedStore() {
  const store = testStore()
  const seen: number[] = []
  function check(value: unknown): void {
    if (typeof value === 'number') {
      if (!Number.isInteger(value) || Math.abs(value) > MAX_NUMBER) throw new Error(`no integer: ${String(value)}`)
      seen.push(value)
    }
    if (typeof value === 'object' && value !== null) Object.values(value).forEach(check)
  }
  const typed = Object.fromEntries(
    (['create', 'find', 'rotate', 'revoke', 'list', 'listRevoked', 'purge', 'claimOnce'] as const).map((method) => [
      method,
      async (...given: never[]) => {
        check(given)
        return (store[method] as (...given: never[]) => unknown)(...given)
      },
    ]),
  ) as unknown as TokenStore
  return { store, typed, seen }
}

function typedWorld(options: Partial<RefreshTokensOptions> = {}) {
  const { store, typed, seen } = typedStore()
  return { ...createSetup({ store: typed, ...options }), rows: store.rows, seen }
}

const importing = (grant: Partial<LegacyGrant>): Partial<RefreshTokensOptions> => ({
  legacyTokens: { lookup: async () => ({ subject: 'alice', expiresAt: START + 20 * DAY, ...grant }) },
})

describe('numbers from callers and hooks', () => {
  it.each([
    ['a fraction', START + 1000.1234],
    ['a fraction that is next to an integer', START + MINUTE - Number.EPSILON * 2 ** 40],
    ['beyond the last date', 1e20],
    ['beyond every integer', Number.MAX_VALUE],
  ])('rounds the expiry of a one-time key to an integer if it is %s', async (_name, expiresAt) => {
    const setup = typedWorld()
    expect(await setup.tokens.consumeOnce({ purpose: 'x', key: 'y', expiresAt })).toBe(true)
    expect(await setup.tokens.consumeOnce({ purpose: 'x', key: 'y', expiresAt })).toBe(false)
    expect(setup.eventTypes()).toEqual([])
  })

  it.each([NaN, Infinity, -Infinity, '1', null])(
    'throws a ConfigurationError if the expiry of a one-time key is %s',
    async (given) => {
      const setup = typedWorld()
      const request = { purpose: 'x', key: 'y', expiresAt: given as number }
      await expect(setup.tokens.consumeOnce(request)).rejects.toMatchObject({
        name: 'ConfigurationError',
        option: 'expiresAt',
      })
      expect(setup.eventTypes()).toEqual([])
    },
  )

  it('rounds a clock with fractions of a millisecond to an integer', async () => {
    const setup = typedWorld({ now: () => START + 0.75, ...importing({}) })
    const { refreshToken, family } = await setup.tokens.issue({ subject: 'alice' })
    expect(family.createdAt).toBe(START)
    const next = expectOk(await setup.tokens.rotate({ refreshToken }))
    expectOk(await setup.tokens.rotate({ refreshToken, beforeCommit: async () => 'prepared' }))
    const reservation = setup.tokens.reserve({ subject: 'alice', expiresInSeconds: 60 })
    expectOk(await setup.tokens.redeem({ reservation, matches: true, maxLifetimeSeconds: 10 }))
    expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(await setup.tokens.consumeOnce({ purpose: 'x', key: 'y', expiresAt: START + SECOND })).toBe(true)
    expect(await setup.tokens.list({ subject: 'alice' })).toMatchObject({ items: { length: 3 } })
    expect(await setup.tokens.inspect(next.refreshToken)).toMatchObject({ active: true })
    expect(await setup.tokens.revoke({ refreshToken })).toMatchObject({ ok: true, ended: true })
    expect(await setup.tokens.revokeSubject('alice')).toBe(2)
    await setup.tokens.purge()
    for (const { at } of setup.events) expect(at).toBe(START)
  })

  it.each([
    ['NaN', () => NaN],
    ['no number', () => '2030' as unknown as number],
    ['before 1970', () => -1],
    ['beyond what a token can carry', () => START * 1000],
  ])('throws a ConfigurationError if the clock returns %s', async (_name, now) => {
    const setup = typedWorld({ now })
    await expect(setup.tokens.issue({ subject: 'alice' })).rejects.toMatchObject({
      name: 'ConfigurationError',
      option: 'now',
    })
    expect(setup.seen).toEqual([])
  })

  it('rounds instants of imported tokens with fractions to integers', async () => {
    const createdAt = START - DAY + 0.5
    const setup = typedWorld(
      importing({ createdAt, expiresAt: START + DAY + 0.25, absoluteExpiresAt: START + HOUR + 0.9 }),
    )
    const { family } = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(family).toMatchObject({ createdAt: START - DAY, absoluteExpiresAt: START + HOUR })
  })

  it('accepts the year 9999 as the expiry of imported tokens', async () => {
    const end = Date.UTC(9999, 11, 31)
    const setup = typedWorld(importing({ expiresAt: end, absoluteExpiresAt: end }))
    const { family } = expectOk(await setup.tokens.rotate({ refreshToken: LEGACY_TOKEN }))
    expect(family.absoluteExpiresAt).toBe(end)
  })

  it('accepts a validAfter with fractions', async () => {
    const setup = typedWorld({ beforeRotate: async () => ({ active: true, validAfter: START - 0.5 }) })
    const { refreshToken } = await setup.tokens.issue({ subject: 'alice' })
    const { ok } = await setup.tokens.rotate({ refreshToken, validAfter: START - 0.5 })
    expect(ok).toBe(true)
  })
})
