import { ConfigurationError } from '@baton/core'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { parseList } from 'structured-headers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type LimiterOptions, logoutEndpoint, rateLimits, tokenEndpoint, revocationEndpoint } from '../../src/index.js'
import {
  type TestResponse,
  basic,
  CB_SECRET,
  CLIENTS,
  expectError,
  fromPage,
  readableAccessTokens,
  MINUTE,
  post,
  refreshWith,
  SECOND,
  send,
  START,
  createSetup,
} from '../setup.js'

beforeEach(() => {
  vi.useFakeTimers({ now: START })
})
afterEach(() => {
  vi.useRealTimers()
})

function expectTooMany(response: TestResponse): number {
  expectError(response, 429, 'too_many_requests')
  expect(response.header('retry-after')).toMatch(/^[1-9]\d*$/)
  return Number(response.header('retry-after'))
}

const times = (count: number) => Array.from({ length: count }, (_, index) => index)
async function repeat(count: number, run: () => Promise<unknown>): Promise<void> {
  for (let round = 0; round < count; round++) await run()
}
/** Separate addresses, so that only the bucket under test fills. */
const from = (index: number) => ({ remoteAddress: `198.51.${String(index >> 8)}.${String(index & 255)}` })

/** Parses the RateLimit fields as structured fields. */
function fieldsOf(response: TestResponse) {
  const read = (name: string) => {
    const text = response.header(name)
    return text === null ? null : parseList(text).map(([item, parameters]) => [item, Object.fromEntries(parameters)])
  }
  return { policy: read('ratelimit-policy'), standing: read('ratelimit') }
}

describe('RateLimit header fields', () => {
  test('L-03 L-04: names the exhausted limit in a 429, with a Retry-After not before the end of its window', async () => {
    const { token } = createSetup({ rateLimit: rateLimits({ points: 3, seconds: 20 }) })
    for (const index of times(3)) expect(fieldsOf(await refreshWith(token, `x${String(index)}`)).policy).toBeNull()
    vi.advanceTimersByTime(SECOND / 2)
    const refused = await refreshWith(token, 'x')

    expect(expectTooMany(refused)).toBe(20)
    expect(fieldsOf(refused)).toEqual({
      policy: [['address', { q: 3, w: 20 }]],
      standing: [['address', { r: 0, t: 20 }]],
    })
  })

  test('L-03: names the limit of a family or of failed authentication in a 429', async () => {
    const limits = () => rateLimits({ points: 2, failedAuthentications: 1 })
    const one = createSetup({ rateLimit: limits() })
    const rt0 = await one.issue()
    for (const index of times(2)) await refreshWith(one.token, rt0, {}, from(index))
    expect(fieldsOf(await refreshWith(one.token, rt0, {}, from(9))).standing?.[0]?.[0]).toBe('family')

    const other = createSetup({ rateLimit: limits() })
    const authorization = basic('cb', 'wrong')
    const guess = () =>
      post(other.token, { grant_type: 'refresh_token', refresh_token: 'x' }, { headers: { authorization } })
    await guess()
    expect(fieldsOf(await guess()).standing?.[0]?.[0]).toBe('failure')
  })

  test('L-03: sends the fields in every response with standardHeaders, and counts down with each unauthenticated request', async () => {
    const { token, issue } = createSetup({ rateLimit: rateLimits({ points: 3, seconds: 20, standardHeaders: true }) })
    const responses = [await refreshWith(token, await issue()), await refreshWith(token, 'nonsense')]

    expect(responses.map(({ status }) => status)).toEqual([200, 400])
    expect(responses.map((response) => fieldsOf(response).standing)).toEqual([
      [['address', { r: 3, t: 20 }]],
      [['address', { r: 2, t: 20 }]],
    ])
  })

  test('sends no RateLimit fields if the limiter does not report them or nothing is counted', async () => {
    const createLimiter = () => ({ consume: async () => undefined, reward: async () => undefined })
    const silent = createSetup({ rateLimit: rateLimits({ standardHeaders: true, createLimiter }) })
    const off = createSetup({ rateLimit: false })
    for (const { token, issue } of [silent, off])
      expect(fieldsOf(await refreshWith(token, await issue()))).toEqual({ policy: null, standing: null })
  })
})

describe('rate limit of an address', () => {
  test('L-01 L-02 L-05: rejects before any change with an explanation, and accepts again after the window', async () => {
    const { token, state, events } = createSetup({ rateLimit: rateLimits({ points: 3, seconds: 20 }) })
    await repeat(3, () => refreshWith(token, 'nonsense'))
    events.length = 0
    vi.advanceTimersByTime(SECOND / 2)
    const wait = expectTooMany(await refreshWith(token, 'nonsense'))
    expect(wait).toBe(20)
    expect([state.calls, events]).toEqual([[], []])
    vi.advanceTimersByTime(wait * SECOND)
    expectError(await refreshWith(token, 'nonsense'), 400, 'invalid_grant')
  })

  test('L-05: does not limit other addresses', async () => {
    const { token, issue } = createSetup({ rateLimit: rateLimits({ points: 3 }) })
    await repeat(10, () => refreshWith(token, 'nonsense'))
    expect((await refreshWith(token, await issue(), {}, from(1))).status).toBe(200)
  })

  test('L-06: does not reset the limit for another X-Forwarded-For', async () => {
    const { token } = createSetup({ rateLimit: rateLimits({ points: 3 }) })
    const headers = (index: number) => ({ headers: { 'x-forwarded-for': `10.1.1.${String(index)}` } })
    for (const index of times(3)) await refreshWith(token, 'nonsense', {}, headers(index))
    expectTooMany(await refreshWith(token, 'nonsense', {}, headers(99)))
  })

  test('L-06: does not reset the limit behind a trusted proxy if the client sends its own X-Forwarded-For', async () => {
    const { token, issue } = createSetup({ rateLimit: rateLimits({ points: 3 }), trustProxy: 1 })
    const headers = (index: number) => ({ headers: { 'x-forwarded-for': `10.1.1.${String(index)}, 198.51.100.1` } })
    for (const index of times(3)) await refreshWith(token, 'nonsense', {}, headers(index))
    expectTooMany(await refreshWith(token, 'nonsense', {}, headers(99)))
    const other = { headers: { 'x-forwarded-for': '198.51.100.2' } }
    expect((await refreshWith(token, await issue(), {}, other)).status).toBe(200)
  })

  test('counts all IPv6 addresses of a subscriber together', async () => {
    const { token, issue } = createSetup({ rateLimit: rateLimits({ points: 3 }) })
    for (const index of times(3)) await refreshWith(token, 'x', {}, { remoteAddress: `2001:db8::${String(index)}` })
    expectTooMany(await refreshWith(token, 'x', {}, { remoteAddress: '2001:db8::ffff' }))
    expect((await refreshWith(token, await issue(), {}, { remoteAddress: '2001:db8:0:1::1' })).status).toBe(200)
  })

  test('counts no address if the address is unknown', async () => {
    const { token, issue } = createSetup({ rateLimit: rateLimits({ points: 3 }) })
    await repeat(10, () => refreshWith(token, 'nonsense', {}, { remoteAddress: null }))
    expect((await refreshWith(token, await issue(), {}, { remoteAddress: null })).status).toBe(200)
  })

  test('counts each request once for all endpoints together', async () => {
    const { token, revoke, refreshCookie, logout } = createSetup({ rateLimit: rateLimits({ points: 4 }) })
    await refreshWith(token, 'x')
    await post(revoke, { client_id: 'pub', token: 'x' })
    await send(refreshCookie, fromPage('x'))
    await send(logout, fromPage('x'))
    expectTooMany(await refreshWith(token, 'x'))
    expectTooMany(await post(revoke, { client_id: 'pub', token: 'x' }))
    expectTooMany(await send(refreshCookie, fromPage('x')))
    expectTooMany(await send(logout, fromPage('x')))
  })

  test('keeps the cookie if a logout is rejected', async () => {
    const { logout } = createSetup({ rateLimit: rateLimits({ points: 1 }) })
    await send(logout, fromPage(null))
    expectTooMany(await send(logout, fromPage('nonsense')))
  })
})

describe('rate limit of a family', () => {
  test('L-05 F-11 F-12: counts a family from all addresses, limits only that family, and consumes no token', async () => {
    const { token, issue, families } = createSetup({ rateLimit: rateLimits({ points: 3 }) })
    const [rt0, other] = [await issue(), await issue({ subject: 'bob' })]
    let current = rt0
    for (const index of times(3)) {
      const response = await refreshWith(token, current, {}, from(index))
      expect(response.status).toBe(200)
      current = response.body.refresh_token
    }
    expectTooMany(await refreshWith(token, current, {}, from(100)))
    expect((await families())[0]?.generation).toBe(3)
    expect((await refreshWith(token, other, {}, from(101))).status).toBe(200)
    vi.advanceTimersByTime(MINUTE)
    expect((await refreshWith(token, current, {}, from(102))).status).toBe(200)
  })

  test('L-05: limits a family in cookie mode too, and a 429 sets no cookie', async () => {
    const { refreshCookie, issue } = createSetup({ rateLimit: rateLimits({ points: 3 }) })
    const rt0 = await issue({ clientId: 'first-party' })
    for (const index of times(3)) expect((await send(refreshCookie, fromPage(rt0, from(index)))).status).toBe(200)
    expectTooMany(await send(refreshCookie, fromPage(rt0, from(100))))
  })

  test('L-05: does not count a forged token of the family', async () => {
    const { token, issue } = createSetup({ rateLimit: rateLimits({ points: 3 }) })
    const rt0 = await issue()
    const forged = `${rt0.slice(0, -1)}${rt0.endsWith('A') ? 'B' : 'A'}`
    for (const index of times(20)) await refreshWith(token, forged, {}, from(index))
    expect((await refreshWith(token, rt0, {}, from(100))).status).toBe(200)
  })

  test('counts one point for an access-token function', async () => {
    const accessTokens = async () => ({ accessToken: 'x', expiresIn: 60 })
    const { token, issue } = createSetup({ rateLimit: rateLimits({ points: 2 }), accessTokens })
    let refreshToken = await issue()
    for (const index of times(2))
      refreshToken = (await refreshWith(token, refreshToken, {}, from(index))).body.refresh_token
    expectTooMany(await refreshWith(token, refreshToken, {}, from(3)))
  })
})

describe('limits of failed authentication', () => {
  const guess = (client_id: string, client_secret: string) => ({
    client_id,
    client_secret,
    token: 'x',
    refresh_token: 'x',
  })

  test('C-12: limits wrong secrets on all endpoints together, by address and by client', async () => {
    const { token, revoke, issue } = createSetup({ rateLimit: undefined as never })
    for (const index of times(10))
      expectError(
        await post(index % 2 === 0 ? token : revoke, guess('cb', `wrong ${String(index)}`)),
        400,
        'invalid_client',
      )
    await repeat(5, async () => {
      expectTooMany(await post(token, guess('cb', 'wrong')))
      expectTooMany(await post(revoke, guess('cb', 'wrong')))
    })
    // The right secret is rejected as well until the window ends.
    expectTooMany(await post(revoke, guess('cb', CB_SECRET)))
    expectTooMany(await post(revoke, { token: 'x' }, { headers: { authorization: basic('cb', CB_SECRET) } }))
    expect((await post(revoke, guess('cb', CB_SECRET), from(1))).status).toBe(200)
    expectError(await post(revoke, guess('cx', 'wrong')), 400, 'invalid_client')
    const rt0 = await issue({ clientId: 'cb' })
    const good = { ...guess('cb', CB_SECRET), grant_type: 'refresh_token', refresh_token: rt0 }
    expect((await post(token, good, from(2))).status).toBe(200)
    vi.advanceTimersByTime(MINUTE)
    expect((await post(revoke, guess('cb', CB_SECRET))).status).toBe(200)
  })

  test('C-12: rejects even the right secret after the last allowed failure', async () => {
    const { revoke } = createSetup({ rateLimit: rateLimits({ failedAuthentications: 3 }) })
    await repeat(2, () => post(revoke, guess('cb', 'wrong')))
    expect((await post(revoke, guess('cb', CB_SECRET))).status).toBe(200)
    expectError(await post(revoke, guess('cb', 'wrong')), 400, 'invalid_client')
    expectTooMany(await post(revoke, guess('cb', CB_SECRET)))
  })

  test('C-12: checks no more concurrent guesses than the limit allows', async () => {
    const { tokens } = createSetup()
    const clients = { find: () => new Promise<null>((resolve) => setTimeout(() => resolve(null), 100)) }
    const limits = rateLimits({ failedAuthentications: 3 })
    const revoke = revocationEndpoint(tokens, { clients, rateLimit: limits })
    const responses = times(8).map(() => post(revoke, guess('cb', 'wrong')))
    await vi.advanceTimersByTimeAsync(SECOND)
    const statuses = (await Promise.all(responses)).map(({ status }) => status)
    expect(statuses.sort()).toEqual([400, 400, 400, 429, 429, 429, 429, 429])
  })

  test('C-12: does not count right secrets', async () => {
    const { revoke } = createSetup({ rateLimit: rateLimits({ points: 1000 }) })
    await repeat(50, async () => {
      expect((await post(revoke, guess('cb', CB_SECRET))).status).toBe(200)
    })
  })

  test('L-05: does not lock out the users of a public client', async () => {
    const { token, issue } = createSetup({ rateLimit: rateLimits({ points: 1000, failedAuthentications: 2 }) })
    await repeat(20, () => refreshWith(token, 'x', { client_secret: 'x' }))
    expect((await refreshWith(token, await issue())).status).toBe(200)
  })

  test('C-11 C-12: limits an unknown client like one with a wrong secret', async () => {
    const { revoke } = createSetup({ rateLimit: rateLimits({ points: 1000 }) })
    const responses = async (clientId: string) => {
      const all = []
      for (let round = 0; round < 12; round++) all.push((await post(revoke, guess(clientId, 'wrong'))).raw)
      return JSON.stringify(all)
    }
    expect(await responses('unknown')).toBe(await responses('cb'))
  })
})

describe('rate limit options', () => {
  test('shares 60 points per minute among all endpoints over the same tokens by default', async () => {
    const { tokens } = createSetup()
    const accessTokens = readableAccessTokens()
    const token = tokenEndpoint(tokens, { accessTokens, clients: CLIENTS })
    const revoke = revocationEndpoint(tokens, { clients: CLIENTS })
    for (const index of times(60))
      expect((await post(index % 2 === 0 ? token : revoke, { client_id: 'pub' })).status).toBe(400)
    expectTooMany(await refreshWith(token, 'x'))
    expectTooMany(await send(logoutEndpoint(tokens, { cookie: true }), fromPage(null)))
    const elsewhere = tokenEndpoint(createSetup().tokens, { accessTokens, clients: CLIENTS })
    expectError(await refreshWith(elsewhere, 'x'), 400, 'invalid_grant')
  })

  test('counts nothing with rateLimit: false', async () => {
    const { token } = createSetup({ rateLimit: false })
    for (let round = 0; round < 100; round++)
      expectError(await refreshWith(token, 'x', { client_secret: 'x' }), 400, 'invalid_client')
  })

  test('calls createLimiter with the options of each limiter', async () => {
    const created: LimiterOptions[] = []
    const createLimiter = (options: LimiterOptions) => {
      created.push(options)
      return new RateLimiterMemory(options)
    }
    const limits = rateLimits({ points: 5, seconds: 7, failedAuthentications: 3, createLimiter })
    expect(created).toEqual([
      { keyPrefix: 'baton:address', points: 5, duration: 7 },
      { keyPrefix: 'baton:family', points: 5, duration: 7 },
      { keyPrefix: 'baton:subject', points: 5, duration: 7 },
      { keyPrefix: 'baton:failure', points: 3, duration: 7 },
      { keyPrefix: 'baton:sign-in', points: 30, duration: 7 },
    ])
    const { token } = createSetup({ rateLimit: limits })
    await repeat(5, () => refreshWith(token, 'x'))
    expect(expectTooMany(await refreshWith(token, 'x'))).toBe(7)
  })

  test('recognizes the rejection of a limiter from another copy of the package by its shape', async () => {
    const exhausted = async () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- so does the package
      throw { ...new RateLimiterRes(0, 2500, 9).toJSON() }
    }
    const createLimiter = () => ({ consume: exhausted, reward: async () => undefined })
    const { token } = createSetup({ rateLimit: rateLimits({ createLimiter }) })
    expect(expectTooMany(await refreshWith(token, 'x'))).toBe(3)
  })

  test('counts in this process if the store of the limiter fails or hangs, and reports it once', async () => {
    const errors: unknown[] = []
    let mode: 'dead' | 'hangs' | 'throws' | 'alive' = 'dead'
    const ask = (): Promise<never> | Promise<null> => {
      if (mode === 'throws') throw new Error('misconfigured')
      if (mode === 'dead') return Promise.reject(new Error('ECONNREFUSED'))
      return mode === 'hangs' ? new Promise<never>(() => undefined) : Promise.resolve(null)
    }
    const limits = rateLimits({
      points: 3,
      failedAuthentications: 2,
      createLimiter: () => ({ consume: ask, reward: ask }),
      onError: (error) => errors.push(error),
    })
    const { token, revoke, issue } = createSetup({ rateLimit: limits })
    const rt0 = await issue()
    await repeat(3, async () => {
      expectError(await refreshWith(token, 'nonsense'), 400, 'invalid_grant')
    })
    expectTooMany(await refreshWith(token, 'nonsense'))
    expect(errors).toHaveLength(1)

    mode = 'hangs'
    const response = refreshWith(token, 'nonsense')
    await vi.advanceTimersByTimeAsync(SECOND)
    expectTooMany(await response)

    mode = 'throws'
    const secret = { client_id: 'cb', client_secret: 'x', token: 'x' }
    await repeat(2, async () => {
      expectError(await post(revoke, secret, from(7)), 400, 'invalid_client')
    })
    expectTooMany(await post(revoke, secret, from(7)))

    mode = 'alive'
    expect((await refreshWith(token, rt0)).status).toBe(200)
    mode = 'dead'
    await refreshWith(token, rt0)
    // One for each of the three limiters, and one for the second outage of the first.
    expect(errors.length).toBeGreaterThan(2)
  })

  test('responds although onError throws', async () => {
    const limits = rateLimits({
      createLimiter: () => ({ consume: () => Promise.reject(new Error('gone')), reward: async () => undefined }),
      onError: () => {
        throw new Error('the logger is out')
      },
    })
    const { token, issue } = createSetup({ rateLimit: limits })
    expect((await refreshWith(token, await issue())).status).toBe(200)
  })

  test('bounds the memory for many addresses, and keeps the most recent one', async () => {
    const limits = rateLimits({ points: 1 })
    const count = async (address: string) => {
      const counted = await limits.countRequest(address, 'immediate')
      counted.settle()
      return counted.exhausted()?.name ?? null
    }
    await count('203.0.113.1')
    for (let index = 0; index < 100_001; index++)
      await count(`10.${String(index >> 16)}.${String((index >> 8) & 255)}.${String(index & 255)}`)
    expect(await count('203.0.113.1')).toBeNull()
    expect(await count('10.1.134.160')).toBe('address')
  })

  test.each([
    [{ points: 0 }, 'points'],
    [{ points: 1.5 }, 'points'],
    [{ points: '60' }, 'points'],
    [{ seconds: 0 }, 'seconds'],
    [{ failedAuthentications: -1 }, 'failedAuthentications'],
    [{ requestsPerAddress: 0 }, 'requestsPerAddress'],
    [{ createLimiter: () => ({ consume: async () => null }) }, 'createLimiter'],
    [{ point: 5 }, 'point'],
  ])('rejects the invalid option %j', (options, option) => {
    expect(() => rateLimits(options as never)).toThrow(ConfigurationError)
    expect(() => rateLimits(options as never)).toThrow(expect.objectContaining({ option }))
  })
})
