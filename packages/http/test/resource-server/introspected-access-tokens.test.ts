import { afterEach, describe, expect, it } from 'vitest'
import {
  introspectedAccessTokens,
  type IntrospectedAccessTokensOptions,
  introspectionEndpoint,
  IssuerError,
  sealedAccessTokens,
  toNodeHandler,
} from '../../src/index.js'
import { createApp } from '../app.js'
import { AUDIENCE, clientOf, METADATA, redirectTo, type Respond, sendJson, startIssuer } from './issuer.js'

type Issuer = Awaited<ReturnType<typeof startIssuer>>

const INTROSPECT = '/introspect'
const SECRET = 'a secret of sealed tokens in a test, 32 bytes or more'
const CREDENTIALS = { clientId: 'api :%', clientSecret: 'secret +&: of the api' }

const running: Issuer[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((issuer) => issuer.stop()))
})

/** A Baton server with sealed tokens, and an API in another process as far as the code can tell. */
async function setup(options: Partial<IntrospectedAccessTokensOptions> = {}) {
  const server = await startIssuer()
  running.push(server)
  const app = createApp({ now: () => server.clock.now })
  const sealed = sealedAccessTokens({ issuer: server.url, audience: AUDIENCE, secrets: [SECRET] })
  const clients = [
    { clientId: CREDENTIALS.clientId, secret: CREDENTIALS.clientSecret, introspectionAudiences: [AUDIENCE, 'other'] },
  ]
  const shared = { ...app.shared, now: () => server.clock.now }
  const endpoint = toNodeHandler(introspectionEndpoint(app.tokens, { accessTokens: sealed, clients, ...shared }))
  server.routes.set(INTROSPECT, endpoint)
  server.routes.set(METADATA, sendJson({ issuer: server.url, introspection_endpoint: server.origin + INTROSPECT }))
  const accessTokens = introspectedAccessTokens({ issuer: server.url, audience: AUDIENCE, ...CREDENTIALS, ...options })
  const api = clientOf(accessTokens, { now: () => server.clock.now })

  async function signIn(audience: readonly string[] = []) {
    const { family, refreshToken } = await app.tokens.issue({ subject: 'alice', clientId: CREDENTIALS.clientId })
    const grant = { family, scope: 'read', audience, claims: {}, confirmation: null, now: server.clock.now }
    return { family, refreshToken, ...(await sealed.mint({ ...grant, maxLifetimeSeconds: 900 })) }
  }

  return {
    ...server,
    ...api,
    tokens: app.tokens,
    signIn,
    accessTokens,
    advance: (seconds: number) => (server.clock.now += seconds * 1000),
    introspections: () => server.requestsFor(INTROSPECT),
  }
}

const invalid = { status: 401, error: 'invalid_token' }
const unavailable = { status: 503 }

describe('a sealed token', () => {
  it('is accepted with its claims while its session is active', async () => {
    const { send, signIn, url } = await setup()
    const { accessToken } = await signIn()
    const claims = { iss: url, sub: 'alice', scope: 'read', aud: AUDIENCE, client_id: CREDENTIALS.clientId }
    expect(await send(accessToken)).toMatchObject({ status: 200, claims })
  })

  it('is rejected after its session was revoked, once cacheSeconds have passed', async () => {
    const { send, signIn, tokens, advance } = await setup({ cacheSeconds: 10 })
    const { accessToken, family } = await signIn()
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    await tokens.revoke({ familyId: family.id })
    advance(9)
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    advance(1)
    expect(await send(accessToken)).toMatchObject(invalid)
  })

  it('is rejected at once after its session was revoked if cacheSeconds is 0', async () => {
    const { send, signIn, tokens, introspections } = await setup({ cacheSeconds: 0 })
    const { accessToken, family } = await signIn()
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    expect(introspections()).toBe(2)
    await tokens.revoke({ familyId: family.id })
    expect(await send(accessToken)).toMatchObject(invalid)
  })

  it('is rejected after its expiry although its result is cached', async () => {
    const { send, signIn, advance } = await setup({ cacheSeconds: 3600 })
    const { accessToken } = await signIn()
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    advance(898)
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    advance(2)
    expect(await send(accessToken)).toMatchObject(invalid)
  })

  it('is rejected for another audience', async () => {
    const { send, signIn } = await setup()
    expect(await send((await signIn(['other'])).accessToken)).toMatchObject(invalid)
    expect(await send((await signIn(['other', AUDIENCE])).accessToken)).toMatchObject({ status: 200 })
  })

  it('is accepted by an endpoint without metadata', async () => {
    const { origin, signIn, clock, requests } = await setup()
    const accessTokens = introspectedAccessTokens({ endpoint: origin + INTROSPECT, ...CREDENTIALS })
    const { send } = clientOf(accessTokens, { now: () => clock.now })
    expect(await send((await signIn()).accessToken)).toMatchObject({ status: 200 })
    expect(requests).toEqual([INTROSPECT])
  })
})

describe('introspection', () => {
  it('happens once for concurrent requests with one token', async () => {
    const { send, signIn, requests, introspections } = await setup({ cacheSeconds: 0 })
    const [one, other] = [await signIn(), await signIn()]
    const sent = Array.from({ length: 20 }, (_, index) => send((index % 2 === 0 ? one : other).accessToken))
    expect(new Set((await Promise.all(sent)).map(({ status }) => status))).toEqual(new Set([200]))
    expect(introspections()).toBe(2)
    expect(requests).toHaveLength(3)
  })

  it('does not happen for text that is no token', async () => {
    const { send, requests } = await setup()
    for (const text of ['', '=', 'a,b', 'é', 'x'.repeat(16_385)]) expect((await send(text)).status).not.toBe(200)
    expect(requests).toEqual([])
  })

  it('caches results of invalid tokens without removing those of valid ones', async () => {
    const { send, signIn, introspections } = await setup({ maxEntries: 1 })
    const { accessToken } = await signIn()
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    for (let index = 0; index < 20; index += 1) expect(await send(`bat_${String(index)}`)).toMatchObject(invalid)
    expect(await send('bat_0')).toMatchObject(invalid)
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    expect(introspections()).toBe(21)
  })

  it('removes the least recently used result when maxEntries is exceeded', async () => {
    const { send, signIn, introspections } = await setup({ maxEntries: 2 })
    const [first, second, third] = [await signIn(), await signIn(), await signIn()]
    for (const { accessToken } of [first, second, first, third, first, second])
      expect(await send(accessToken)).toMatchObject({ status: 200 })
    expect(introspections()).toBe(4)
  })

  it('does not accept a refresh token of the resource server as an access token', async () => {
    const { send, signIn } = await setup({ audience: undefined })
    expect(await send((await signIn()).refreshToken)).toMatchObject(invalid)
  })

  it('does not accept a token of another issuer', async () => {
    const { send, routes, clock } = await setup()
    const seconds = clock.now / 1000
    const claims = {
      sub: 'alice',
      aud: AUDIENCE,
      client_id: 'c',
      jti: 'j',
      iat: seconds,
      exp: seconds + 9,
      token_type: 'Bearer',
    }
    routes.set(INTROSPECT, sendJson({ active: true, ...claims, iss: 'https://other.example' }))
    expect(await send('token')).toMatchObject(invalid)
  })

  const never: Respond = () => undefined
  it.each<[string, Respond, RegExp]>([
    [
      'with the status 401',
      sendJson({ error: 'invalid_client' }, 401),
      /rejected the credentials of the client "api :%"/,
    ],
    ['with the status 500', sendJson({}, 500), /status 500/],
    ['that is HTML', (_, response) => response.end('<html></html>'), /HTML/],
    ['that is a redirect', redirectTo('/elsewhere'), /redirect/],
    ['without "active"', sendJson({ sub: 'alice' }), /"active"/],
    ['with "active" as text', sendJson({ active: 'true' }), /"active"/],
    [
      'without required claims',
      sendJson({ active: true, token_type: 'Bearer', sub: 'alice' }),
      /lacks one of the claims/,
    ],
    ['that does not arrive', never, /within timeoutSeconds/],
  ])('with a response %s is an error of the issuer', async (_, respond, message) => {
    const { send, routes, errors, messages, signIn } = await setup({ timeoutSeconds: 1 })
    const { accessToken } = await signIn()
    const working = routes.get(INTROSPECT)
    routes.set(INTROSPECT, respond)
    expect(await send(accessToken)).toMatchObject(unavailable)
    expect(errors).toEqual([expect.any(IssuerError)])
    expect(messages()[0]).toMatch(message)
    expect(messages()[0]).not.toContain(accessToken)
    routes.set(INTROSPECT, working ?? never)
    expect(await send(accessToken)).toMatchObject({ status: 200 })
  })

  it('causes 503 while the issuer is unavailable and works again afterwards', async () => {
    const { send, signIn, stop, start, advance } = await setup({ cacheSeconds: 10 })
    const { accessToken } = await signIn()
    await stop()
    expect(await send(accessToken)).toMatchObject(unavailable)
    expect(await send('bat_x')).toMatchObject(unavailable)
    await start()
    advance(1)
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    await stop()
    advance(9)
    expect(await send(accessToken)).toMatchObject({ status: 200 })
    advance(1)
    expect(await send(accessToken)).toMatchObject(unavailable)
    await start()
    expect(await send(accessToken)).toMatchObject({ status: 200 })
  })
})

describe('options', () => {
  it('need an issuer or an endpoint', () => {
    expect(() => introspectedAccessTokens(CREDENTIALS)).toThrow(/^option "issuer" is missing; .* "endpoint"$/)
  })

  it('reject URLs to which a secret must not be sent', () => {
    for (const endpoint of ['http://login.example/introspect', 'https://a:b@login.example/introspect'])
      expect(() => introspectedAccessTokens({ endpoint, ...CREDENTIALS })).toThrow(/^option "endpoint" must be /)
  })

  it('do not repeat the secret in a message', () => {
    const options = { issuer: 'https://login.example', clientId: 'api', clientSecret: '' }
    expect(() => introspectedAccessTokens(options)).toThrow(
      'option "clientSecret" must be the secret of the client, got an empty string',
    )
  })
})
