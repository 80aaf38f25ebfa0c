import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseBasic } from '../src/clients/credentials.js'
import { parseForm } from '../src/messages/form.js'
import { CB_SECRET, expectError, fromPage, post, refreshWith, send, createSetup } from './setup.js'

const NAMES = ['grant_type', 'refresh_token', 'client_id', 'client_secret', 'scope', 'resource', '__proto__', 'x', '']
const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }))
const runs = { numRuns: 500 }

describe('form parser', () => {
  const encode = (value: string) => new URLSearchParams([['', value]]).toString().slice(1)

  test('T-09: reads forms that URLSearchParams writes', () => {
    const wellFormed = text.filter((value) => Buffer.from(value).toString() === value && !value.includes('\0'))
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...NAMES), wellFormed), (parameters) => {
        const form = parseForm(new URLSearchParams(parameters).toString())
        expect(form.ok).toBe(true)
        if (!form.ok) return
        for (const [name, value] of Object.entries(parameters))
          expect(form.form.get(name)).toBe(value === '' ? null : value)
      }),
      runs,
    )
  })

  test('T-09: parses any input without an error, to strings only', () => {
    const bytes = fc.oneof(
      text,
      fc
        .array(
          fc.tuple(
            fc.constantFrom(...NAMES, '%', '%00', 'scope[]'),
            fc.oneof(text, fc.constantFrom('%', '%zz', '+', '=')),
          ),
        )
        .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&')),
    )
    fc.assert(
      fc.property(bytes, (body) => {
        const form = parseForm(body)
        if (!form.ok) {
          expect(form.response.status).toBe(400)
          return
        }
        for (const name of NAMES) {
          expect(
            form.form.all(name).every((value) => typeof value === 'string' && value !== '' && !value.includes('\0')),
          ).toBe(true)
          if (name !== 'resource' && name !== 'x' && name !== '' && name !== '__proto__')
            expect(form.form.all(name).length).toBeLessThanOrEqual(1)
        }
      }),
      runs,
    )
  })

  test('T-09 T-04: rejects a repeated parameter at any position', () => {
    const once = fc.constantFrom('grant_type', 'refresh_token', 'client_id', 'client_secret', 'scope')
    const noise = fc.array(fc.tuple(fc.stringMatching(/^x[a-z]{0,3}$/), fc.string().map(encode)), { maxLength: 5 })
    fc.assert(
      fc.property(once, noise, noise, noise, (name, before, between, after) => {
        const pairs = [...before, [name, 'a'], ...between, [name, 'b'], ...after]
        expect(parseForm(pairs.map(([key, value]) => `${key}=${value}`).join('&')).ok).toBe(false)
      }),
      runs,
    )
  })

  test('T-09: responds to any parsed body without authenticating a client', async () => {
    const { token, issue, errors, families } = createSetup()
    const refreshToken = await issue()
    const anything = fc.oneof(
      fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withTypedArray: true }),
      fc.dictionary(fc.constantFrom(...NAMES), fc.anything({ withNullPrototype: true })),
    )
    await fc.assert(
      fc.asyncProperty(anything, async (value) => {
        const { status } = await post(token, '', { body: { kind: 'parsed', value } })
        expect([400, 413]).toContain(status)
      }),
      runs,
    )
    expect(errors).toEqual([])
    expect((await families())[0]?.generation).toBe(0)
    expect((await refreshWith(token, refreshToken)).status).toBe(200)
  })

  test('T-09: rejects bodies of random bytes', async () => {
    const { token, errors } = createSetup()
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (body) => {
        const reply = await post(token, '', { body })
        expectError(reply, 400, reply.body.error)
      }),
      runs,
    )
    expect(errors).toEqual([])
  })
})

describe('Basic header', () => {
  test('C-04: reads a Basic header that a client encodes correctly', () => {
    const credential = text.filter((value) => Buffer.from(value).toString() === value && !value.includes('\0'))
    fc.assert(
      fc.property(
        credential.filter((id) => id !== ''),
        credential,
        (clientId, secret) => {
          const encode = (value: string) => new URLSearchParams([['', value]]).toString().slice(1)
          const header = `Basic ${Buffer.from(`${encode(clientId)}:${encode(secret)}`).toString('base64')}`
          expect(parseBasic(header)).toEqual({ clientId, secret })
        },
      ),
      runs,
    )
  })

  test('C-04: rejects any other Basic header without an error or a consumed token', async () => {
    const { token, issue, errors } = createSetup()
    const refresh_token = await issue({ clientId: 'cb' })
    const parameters = { grant_type: 'refresh_token', refresh_token }
    const values = fc.oneof(
      text,
      text.map((value) => `Basic ${value}`),
      text.map((value) => `basic ${Buffer.from(value).toString('base64')}`),
      text.map((value) => `Basic ${Buffer.from(`cb:${value}`).toString('base64')}`),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => `Basic ${Buffer.from(bytes).toString('base64')}`),
      fc.constant(`Basic ${Buffer.from(`cb:${CB_SECRET}`).toString('base64')} x`),
      fc.constant(`Basic ${Buffer.from(`CB:${CB_SECRET}`).toString('base64')}`),
      fc.constant(`Basic ${Buffer.from(`cb:${CB_SECRET} `).toString('base64')}`),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 2 }), async (authorization) => {
        const reply = await post(token, parameters, { headers: { authorization } })
        if (authorization.length === 2) expectError(reply, 400, 'invalid_request')
        else expectError(reply, 401, 'invalid_client')
      }),
      runs,
    )
    expect(errors).toEqual([])
    const credentials = { client_id: 'cb', client_secret: CB_SECRET }
    expect((await refreshWith(token, refresh_token, credentials)).status).toBe(200)
  })
})

describe('cookie and CSRF headers', () => {
  test('rejects any value of the Cookie header without an error and sets no cookie', async () => {
    const { refreshCookie, logout, issue, errors, families } = createSetup()
    const refreshToken = await issue({ clientId: 'first-party' })
    const mangled = fc.nat({ max: refreshToken.length - 1 }).chain((at) =>
      fc.constantFrom('A', '%41', ' ', '"', ';', '\\', '').map((patch) => {
        const changed = refreshToken.slice(0, at) + patch + refreshToken.slice(at + 1)
        return changed === refreshToken ? 'x' : changed
      }),
    )
    const cookies = fc.oneof(
      text,
      text.map((value) => `__Host-baton=${value}`),
      mangled.map((value) => `__Host-baton=${value}`),
      mangled.map((value) => `a=b;__Host-baton=${value};__Host-baton`),
      fc.constantFrom(
        `baton=${refreshToken}`,
        `__host-baton=${refreshToken}`,
        `__Host-baton="${refreshToken}"`,
        `x__Host-baton=${refreshToken}`,
      ),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(cookies, { minLength: 1, maxLength: 3 }), async (cookie) => {
        const refreshed = await send(refreshCookie, fromPage(null, { headers: { cookie } }))
        expect([400, 401]).toContain(refreshed.status)
        expectError(refreshed, refreshed.status, refreshed.body.error)
        expect([204, 400]).toContain((await send(logout, fromPage(null, { headers: { cookie } }))).status)
      }),
      runs,
    )
    expect(errors).toEqual([])
    expect((await families())[0]?.generation).toBe(0)
  })

  test('H-04: rejects a cross-site request with any other header', async () => {
    const { refreshCookie, issue, families } = createSetup({ cookie: { allowedOrigins: ['https://app.example'] } })
    const refreshToken = await issue({ clientId: 'first-party' })
    const origin = fc.oneof(text, fc.webUrl(), fc.constantFrom('null', 'https://as.example.evil', 'https://as.exampl'))
    const site = fc.oneof(text, fc.constantFrom('same-site', 'cross-site', 'none', undefined, 'Same-Origin'))
    await fc.assert(
      fc.asyncProperty(origin, site, text, async (origin, site, session) => {
        fc.pre(!['https://as.example', 'https://app.example'].includes(origin) && site !== 'same-origin')
        const headers = { origin, 'sec-fetch-site': site, 'x-baton-session': session }
        expectError(await send(refreshCookie, fromPage(refreshToken, { headers })), 403, 'access_denied')
      }),
      runs,
    )
    expect((await families())[0]?.generation).toBe(0)
  })
})
