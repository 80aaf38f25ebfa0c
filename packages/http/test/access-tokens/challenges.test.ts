import { describe, expect, it } from 'vitest'
import {
  accessTokenGuard,
  type AccessTokenGuardOptions,
  type AccessTokens,
  introspectionEndpoint,
  jwtAccessTokens,
  sealedAccessTokens,
} from '../../src/index.js'
import { createApp, headerOf, ISSUER, jsonOf, request, SIGNING_KEY } from '../app.js'
import { parseChallenges } from '../challenge.js'

const METADATA = 'https://app.example/.well-known/oauth-protected-resource'
const KINDS: readonly (readonly [string, AccessTokens])[] = [
  ['JWT', jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [SIGNING_KEY] })],
  [
    'sealed',
    sealedAccessTokens({
      issuer: ISSUER,
      audience: ISSUER,
      secrets: ['a secret of sealed tokens of 32 bytes or more'],
    }),
  ],
]

function setup(options: Partial<AccessTokenGuardOptions> = {}, accessTokens?: AccessTokens) {
  const app = createApp()
  const tokens = accessTokens ?? app.accessTokens
  const guard = accessTokenGuard({ accessTokens: tokens, ...options, now: app.shared.now })

  async function signIn(authentication: { authTime?: number; acr?: string; amr?: readonly string[] } = {}) {
    const { family } = await app.tokens.issue({ subject: 'alice', clientId: 'web', scope: 'read', ...authentication })
    const grant = { family, scope: 'read', audience: [], claims: {}, confirmation: null, now: app.clock.now }
    return (await tokens.mint({ ...grant, maxLifetimeSeconds: 900 })).accessToken
  }

  async function send(token?: string) {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const outcome = await guard(request({ headers }))
    if (outcome.ok) return { status: 200, claims: outcome.claims, challenges: {} }
    const challenges = parseChallenges(headerOf(outcome.response, 'www-authenticate'))
    return { status: outcome.response.status, claims: null, challenges, body: jsonOf(outcome.response) }
  }

  return { ...app, signIn, send }
}

describe('parameters of challenges', () => {
  it('adds challengeParameters to the challenge of every rejection', async () => {
    const challengeParameters = { resource_metadata: METADATA }
    const { send, signIn } = setup({ challengeParameters, scope: 'write', dpop: {} })
    const added = { realm: 'api', resource_metadata: METADATA }
    expect((await send()).challenges).toEqual({
      Bearer: { ...added, scope: 'write' },
      DPoP: { ...added, scope: 'write', algs: expect.any(String) as string },
    })
    expect(await send('x')).toMatchObject({ status: 401, challenges: { Bearer: { ...added, error: 'invalid_token' } } })
    expect(await send(await signIn())).toMatchObject({
      status: 403,
      challenges: { Bearer: { ...added, error: 'insufficient_scope', scope: 'write' } },
    })
  })

  it('announces the scope of challengeParameters in place of the required one', async () => {
    const { send, signIn } = setup({ challengeParameters: { scope: 'read write' }, scope: 'write' })
    expect((await send()).challenges).toEqual({ Bearer: { realm: 'api', scope: 'read write' } })
    expect((await send(await signIn())).challenges).toMatchObject({ Bearer: { scope: 'read write' } })
  })

  it('offers DPoP only with the option dpop', async () => {
    expect(Object.keys((await setup().send()).challenges)).toEqual(['Bearer'])
    expect(Object.keys((await setup({ dpop: {} }).send()).challenges)).toEqual(['Bearer', 'DPoP'])
  })

  it.each([
    [{ realm: 'x' }, 'challengeParameters.realm'],
    [{ error: 'x' }, 'challengeParameters.error'],
    [{ Resource: 'x' }, 'challengeParameters.Resource'],
    [{ 'a b': 'x' }, 'challengeParameters.a b'],
    [{ resource_metadata: 'a"b' }, 'challengeParameters.resource_metadata'],
    [{ resource_metadata: 'a\r\nb' }, 'challengeParameters.resource_metadata'],
    [{ resource_metadata: 1 }, 'challengeParameters.resource_metadata'],
    [['x'], 'challengeParameters'],
  ])('rejects challengeParameters %j', (challengeParameters, option) => {
    const options = { accessTokens: async () => null, challengeParameters: challengeParameters as never }
    expect(() => accessTokenGuard(options)).toThrow(`option "${option}" must `)
  })
})

describe.each(KINDS)('step-up authentication with %s tokens', (_, accessTokens) => {
  const acr = 'urn:example:two-factor'

  it('accepts tokens of a user who was authenticated as required, with auth_time, acr and amr', async () => {
    const { send, signIn, clock } = setup(
      { acrValues: ['urn:example:passkey', acr], maxAuthAgeSeconds: 300 },
      accessTokens,
    )
    const token = await signIn({ authTime: clock.now - 200_000, acr, amr: ['pwd', 'otp'] })
    const authTime = Math.floor(clock.now / 1000) - 200
    expect(await send(token)).toMatchObject({ status: 200, claims: { auth_time: authTime, acr, amr: ['pwd', 'otp'] } })
  })

  it('rejects other tokens with insufficient_user_authentication and what is required', async () => {
    const { send, signIn, clock } = setup(
      { acrValues: ['urn:example:passkey', acr], maxAuthAgeSeconds: 300 },
      accessTokens,
    )
    const insufficient = {
      error: 'insufficient_user_authentication',
      acr_values: `urn:example:passkey ${acr}`,
      max_age: '300',
    }
    for (const authentication of [
      {},
      { authTime: clock.now },
      { acr },
      { authTime: clock.now, acr: 'urn:example:password' },
      { authTime: clock.now - 302_000, acr },
    ])
      expect(await send(await signIn(authentication))).toMatchObject({
        status: 401,
        challenges: { Bearer: insufficient },
        body: { error: 'insufficient_user_authentication' },
      })
  })

  it('rejects a cached token as soon as the authentication is too old', async () => {
    const { send, signIn, clock } = setup({ maxAuthAgeSeconds: 60 }, accessTokens)
    const token = await signIn({ authTime: clock.now })
    expect(await send(token)).toMatchObject({ status: 200 })
    clock.now += 60_000
    expect(await send(token)).toMatchObject({ status: 200 })
    clock.now += 1000
    expect(await send(token)).toMatchObject({
      status: 401,
      challenges: { Bearer: { error: 'insufficient_user_authentication', max_age: '60' } },
    })
  })

  it('has no claims about the authentication unless they were given at issue', async () => {
    const { send, signIn } = setup({}, accessTokens)
    const { claims } = await send(await signIn())
    expect(Object.keys(claims ?? {}).filter((name) => ['auth_time', 'acr', 'amr'].includes(name))).toEqual([])
  })

  it('has the claims about the authentication in the introspection response', async () => {
    const { tokens, signIn, shared, clock } = setup({}, accessTokens)
    const clients = [{ clientId: 'api', secret: 'secret of the api', introspectionAudiences: [ISSUER] }]
    const introspect = introspectionEndpoint(tokens, { accessTokens, clients, ...shared })
    const token = await signIn({ authTime: clock.now, acr, amr: ['pwd'] })
    const authorization = `Basic ${Buffer.from('api:secret+of+the+api').toString('base64')}`
    const headers = { 'content-type': 'application/x-www-form-urlencoded', authorization }
    const response = await introspect(request({ method: 'POST', headers, body: `token=${token}` }))
    expect(jsonOf(response)).toMatchObject({ active: true, auth_time: Math.floor(clock.now / 1000), acr, amr: ['pwd'] })
  })
})

describe('options of step-up authentication', () => {
  it.each([
    ['acrValues', []],
    ['acrValues', ['two factors']],
    ['acrValues', ['a"b']],
    ['acrValues', 'urn:example:two-factor'],
    ['maxAuthAgeSeconds', -1],
    ['maxAuthAgeSeconds', '300'],
  ])('rejects %s: %j', (name, value) => {
    expect(() => accessTokenGuard({ accessTokens: async () => null, [name]: value })).toThrow(`option "${name}`)
  })
})
