import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseTokenResponse } from '../src/protocol/token-response.js'
import { createEnvironment, memoryStorage, SessionError } from '../src/index.js'
import { oauthEndpoints } from '../src/oauth.js'
import { parse, type SessionRecord } from '../src/session/record.js'
import type { SessionContext } from '../src/session/context.js'
import { createRecordStore } from '../src/session/record-store.js'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
const GRANT = {
  access_token: 'at',
  token_type: 'Bearer',
  expires_in: 900,
  refresh_token: 'rt',
  scope: 'read',
  sid: 's',
}

function read(status: number, body: unknown, headers: Record<string, string> = {}, scheme = 'Bearer') {
  return parseTokenResponse(responseOf(status, body, headers), { scheme, sentAt: NOW - 50, now: NOW })
}

function responseOf(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers })
}

describe('a response of the token endpoint', () => {
  const grant = {
    accessToken: 'at',
    refreshToken: 'rt',
    lifetimeMs: 900_000,
    expiresAt: NOW - 50 + 900_000,
    scope: 'read',
    sid: 's',
  }
  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(GRANT).filter(([name]) => !names.includes(name)))
  const later = { code: 'unavailable', until: null }

  test.each<[string, number, unknown, object]>([
    ['tokens', 200, GRANT, grant],
    ['CL-07 another spelling of the type', 200, { ...GRANT, token_type: 'BEARER' }, grant],
    ['CL-07 unknown members', 200, { ...GRANT, extra: { a: [1] } }, grant],
    ['CL-07 another type', 200, { ...GRANT, token_type: 'mac' }, { code: 'misconfigured', reason: 'token_type' }],
    ['CL-07 no type', 200, without('token_type'), { code: 'misconfigured' }],
    ['CL-16 a bound token where none is wanted', 200, { ...GRANT, token_type: 'DPoP' }, { code: 'misconfigured' }],
    ['CL-08 no expires_in', 200, without('expires_in'), { lifetimeMs: null, expiresAt: null }],
    ['CL-08 expires_in as text', 200, { ...GRANT, expires_in: '900' }, { lifetimeMs: 900_000 }],
    ['CL-08 an expires_in that is none', 200, { ...GRANT, expires_in: -1 }, { lifetimeMs: null, expiresAt: null }],
    ['CL-01 no refresh token', 200, without('refresh_token'), { refreshToken: null }],
    ['CL-01 refresh_token: null', 200, { ...GRANT, refresh_token: null }, { refreshToken: null }],
    ['no access token', 200, without('access_token'), later],
    ['HTML', 200, '<!doctype html><title>Welcome</title>', later],
    ['half a JSON', 200, '{"access_token":"at","token_ty', later],
    ['JSON, but no object', 200, '["access_token"]', later],
    ['nothing', 200, '', later],
    ['CL-10 a redirect with a body', 307, GRANT, later],
    ['CL-05 invalid_grant', 400, { error: 'invalid_grant' }, { code: 'signed_out', reason: 'rejected' }],
    [
      'CL-05 invalid_grant with status 401',
      401,
      { error: 'invalid_grant' },
      { code: 'signed_out', reason: 'rejected' },
    ],
    ['CL-06 invalid_grant with status 500 does not sign out', 500, { error: 'invalid_grant' }, later],
    ['CL-06 invalid_grant with status 429 does not sign out', 429, { error: 'invalid_grant' }, later],
    [
      'CL-06 a client that is not accepted',
      401,
      { error: 'invalid_client' },
      { code: 'misconfigured', reason: 'invalid_client' },
    ],
    ['CL-06 temporarily_unavailable', 400, { error: 'temporarily_unavailable' }, later],
    ['a rejection in HTML', 403, '<h1>Blocked</h1>', later],
    ['an error that is no code', 400, { error: 'See brt_0123' }, { code: 'misconfigured', reason: 'status 400' }],
    ['an error without a code', 401, { message: 'Unauthorized' }, { code: 'misconfigured', reason: 'status 401' }],
    ['an error whose code is no text', 400, { error: 7 }, { code: 'misconfigured', reason: 'status 400' }],
    ['an error whose code is an object', 400, { error: {} }, { code: 'misconfigured', reason: 'status 400' }],
    ['an error of status 200', 200, { error: 'incorrect_client_credentials' }, { code: 'misconfigured' }],
    [
      'CL-05 invalid_grant with status 200',
      200,
      { error: 'invalid_grant' },
      { code: 'signed_out', reason: 'rejected' },
    ],
    ['a server that is out, with status 200', 200, { error: 'temporarily_unavailable' }, later],
    ['an error of status 200 that is no code', 200, { error: 'See https://login.example' }, later],
    ['tokens beside an empty error', 200, { ...GRANT, error: null }, grant],
    ['a cookie of another session', 409, { error: 'other_session' }, { code: 'signed_out', reason: 'replaced' }],
  ])('%s', async (_name, status, body, expected) => {
    expect(await read(status, body)).toMatchObject(expected)
  })

  test('CL-16 with DPoP, only tokens of the type DPoP are accepted', async () => {
    expect(await read(200, { ...GRANT, token_type: 'dpop' }, {}, 'DPoP')).toMatchObject(grant)
    expect(await read(200, GRANT, {}, 'DPoP')).toMatchObject({ code: 'misconfigured' })
  })

  const httpDate = (ms: number) => new Date(NOW + ms).toUTCString()
  test.each<[string, Record<string, string>, number | null]>([
    ['seconds', { 'retry-after': '7' }, 7000],
    ['a date', { 'retry-after': httpDate(9000) }, 9000],
    ['a date that has passed', { 'retry-after': httpDate(-9000) }, -9000],
    ['a day', { 'retry-after': '86400' }, 3_600_000],
    ['nonsense', { 'retry-after': 'soon' }, null],
    ['a date, on a device two hours slow', { 'retry-after': httpDate(7_205_000), date: httpDate(7_200_000) }, 5000],
    ['a date, on a device two hours fast', { 'retry-after': httpDate(-7_195_000), date: httpDate(-7_200_000) }, 5000],
    ['a date far ahead', { 'retry-after': httpDate(86_400_000), date: httpDate(0) }, 3_600_000],
    ['a date, on a slow device that cannot see the Date', { 'retry-after': httpDate(7_205_000) }, 60_000],
    ['a date, and a Date that is none', { 'retry-after': httpDate(9000), date: 'now' }, 9000],
    ['nonsense with a Date', { 'retry-after': 'soon', date: httpDate(0) }, null],
    ['seconds, on a device two hours slow', { 'retry-after': '7', date: httpDate(7_200_000) }, 7000],
  ])('CL-06 Retry-After: %s', async (_name, headers, ms) => {
    expect(await read(503, '', headers)).toMatchObject({ code: 'unavailable', until: ms === null ? null : NOW + ms })
  })

  test.each<[string, number, unknown, object]>([
    ['a proprietary code', 400, { error: 'bad_refresh_token' }, { code: 'signed_out', reason: 'rejected' }],
    [
      'a proprietary code with status 200',
      200,
      { error: 'bad_refresh_token' },
      { code: 'signed_out', reason: 'rejected' },
    ],
    ['a code in another place', 400, { errors: [{ code: 'E17' }] }, { code: 'signed_out', reason: 'rejected' }],
    ['a standard code', 400, { error: 'invalid_client' }, { code: 'misconfigured', reason: 'invalid_client' }],
    ['a code that is not mapped', 400, { error: 'constructor' }, { code: 'misconfigured', reason: 'constructor' }],
    ['a failing server', 503, { error: 'bad_refresh_token' }, later],
    ['no JSON', 400, 'bad_refresh_token', later],
    ['tokens', 200, GRANT, grant],
  ])('foreign error codes are mapped: %s', async (_name, status, body, expected) => {
    const endpoints = oauthEndpoints({
      tokenEndpoint: 'https://login.example/token',
      clientId: 'web',
      errorCode: ({ error, errors }) => (error === 'bad_refresh_token' || errors ? 'invalid_grant' : undefined),
    })
    const environment = { ...createEnvironment(), now: () => NOW - 50, elapsed: () => 0 }
    const setup: Omit<SessionContext, 'records'> = {
      endpoints,
      environment,
      storage: memoryStorage(),
      proofs: { scheme: 'Bearer', send: async () => responseOf(status, body) },
      lockTimeoutSeconds: 1,
      requestTimeoutSeconds: 1,
      allowedOrigins: [],
      emit: () => undefined,
    }
    const { exchange } = endpoints.connect({ ...setup, records: createRecordStore(setup) })
    expect(await exchange({}, 'key')).toMatchObject(expected)
  })

  test('only invalid_grant in a JSON object signs out', async () => {
    const statuses = fc.integer({ min: 200, max: 599 }).filter((status) => ![204, 205, 304].includes(status))
    const bodies = fc.oneof(
      fc.string(),
      fc.json(),
      fc.record({ error: fc.constantFrom('invalid_grant', 'invalid_client', 'x') }).map((body) => JSON.stringify(body)),
    )
    await fc.assert(
      fc.asyncProperty(statuses, bodies, async (status, body) => {
        const isVerdict =
          (status < 300 || status >= 400) &&
          status < 500 &&
          ![408, 425, 429].includes(status) &&
          body === '{"error":"invalid_grant"}'
        const answer = await read(status, body)
        expect(answer instanceof SessionError && answer.code === 'signed_out').toBe(isVerdict)
      }),
    )
  })
})

describe('a stored record', () => {
  test('is parsed unchanged, with unknown members of later versions', () => {
    const ended = { state: 'ended', reason: 'logout' } as const
    const pause = { from: 1, until: 2 }
    const record: SessionRecord = { session: ended, pause, revocations: [{ refreshToken: 'r', sid: null }] }
    expect(parse(JSON.stringify(record))).toEqual(record)
    expect(parse(JSON.stringify({ ...record, future: 1 }))).toEqual({ ...record, future: 1 })
  })

  test.each(['', 'null', '{}', '[]', '"x"', '{"session":{"state":"live"}}', '{"session":{"state":"odd"}}', '{"sess'])(
    'is ignored if it is %j',
    (text) => {
      expect(parse(text)).toBeNull()
    },
  )

  test('is parsed without an error for any text', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parse(text)))
  })
})
