import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRefreshTokens } from '@baton/core'
import { memoryStore } from '@baton/store-memory'
import { exportJWK } from 'jose'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  accessTokenGuard,
  authorizationCodes,
  deriveSigningKey,
  type Endpoint,
  introspectionEndpoint,
  jwksEndpoint,
  jwtAccessTokens,
  tokenEndpoint,
  revocationEndpoint,
  type StaticClient,
  toNodeHandler,
} from '../src/index.js'

/*
 * Published client libraries over real HTTP and through a proxy. Their requests and their expectations of a response are taken as correct.
 */

const SECRET = 'a secret of the real clients, at least 32 bytes'
const issuer = 'https://login.example'
const REDIRECT_URI = 'http://127.0.0.1:9999/callback'
const BACKEND_SECRET = 'backend-secret-0123456789-0123456789'

async function start() {
  const keys = await oauth.generateKeyPair('ES256')
  const server = createServer((request, response) => route(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const origin = `http://127.0.0.1:${String(port)}`
  const clients: StaticClient[] = [
    { clientId: 'web' },
    { clientId: 'native', dpopBoundAccessTokens: true },
    { clientId: 'backend', secret: BACKEND_SECRET },
    { clientId: 'service', jwks: { keys: [await exportJWK(keys.publicKey)] } },
    { clientId: 'api', secret: BACKEND_SECRET, introspectionAudiences: [issuer] },
  ]
  const tokens = createRefreshTokens({ store: memoryStore(), secrets: [SECRET] })
  const accessTokens = jwtAccessTokens({ issuer, audience: issuer, keys: [deriveSigningKey(SECRET)] })
  const codes = authorizationCodes(tokens, { issuer, secrets: [SECRET] })
  const dpop = { nonce: { secrets: [SECRET], required: true } }
  const behindProxy = { trustProxy: 1, publicUrl: issuer }
  const common = { clients, issuer, rateLimit: false, ...behindProxy } as const
  const guard = accessTokenGuard({ accessTokens, checkSession: tokens, dpop, ...behindProxy })
  const endpoints: Record<string, Endpoint> = {
    '/token': tokenEndpoint(tokens, { accessTokens, codes, dpop, ...common }),
    '/revoke': revocationEndpoint(tokens, { accessTokens, ...common }),
    '/introspect': introspectionEndpoint(tokens, { accessTokens, ...common }),
    '/jwks': jwksEndpoint(accessTokens),
    '/me': async (request) => {
      const outcome = await guard(request)
      if (!outcome.ok) return outcome.response
      const body = JSON.stringify({ sub: outcome.claims.sub })
      return { status: 200, headers: [['content-type', 'application/json'], ...outcome.headers], body }
    },
  }
  const route: ReturnType<typeof toNodeHandler> = (request, response) => {
    const endpoint = endpoints[new URL(request.url ?? '/', origin).pathname]
    if (endpoint === undefined) response.writeHead(404).end()
    else toNodeHandler(endpoint)(request, response)
  }
  const as: oauth.AuthorizationServer = {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    revocation_endpoint: `${issuer}/revoke`,
    introspection_endpoint: `${issuer}/introspect`,
    jwks_uri: `${issuer}/jwks`,
    code_challenge_methods_supported: ['S256'],
    dpop_signing_alg_values_supported: ['ES256'],
    authorization_response_iss_parameter_supported: true,
  }
  /** The proxy that terminates TLS, because these clients use only HTTPS. */
  const viaProxy = async (
    url: string,
    { headers, ...init }: { readonly headers?: Record<string, string> } & object = {},
  ) => {
    const forwarded = new Headers(headers)
    forwarded.set('x-forwarded-proto', 'https')
    forwarded.set('x-forwarded-for', '203.0.113.7')
    return fetch(url.replace(issuer, origin), { ...init, headers: forwarded })
  }
  return { server, as, codes, keys, viaProxy }
}

let setup: Awaited<ReturnType<typeof start>>
beforeAll(async () => {
  setup = await start()
})
afterAll(() => closed(setup.server))

function closed(server: Server): Promise<unknown> {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(resolve))
}

/** The URL to which the authorization page of an app redirects the browser. */
function callback(clientId: string, codeChallenge: string, more: object = {}): URL {
  const code = setup.codes.issue({
    subject: 'alice',
    clientId,
    redirectUri: REDIRECT_URI,
    codeChallenge,
    scope: 'read write',
    ...more,
  })
  return new URL(`${REDIRECT_URI}?${String(new URLSearchParams({ code, state: 'the state', iss: issuer }))}`)
}

const METHODS: Record<string, () => readonly [string, oauth.ClientAuth]> = {
  none: () => ['web', oauth.None()],
  client_secret_basic: () => ['backend', oauth.ClientSecretBasic(BACKEND_SECRET)],
  client_secret_post: () => ['backend', oauth.ClientSecretPost(BACKEND_SECRET)],
  private_key_jwt: () => ['service', oauth.PrivateKeyJwt(setup.keys.privateKey)],
}

describe('oauth4webapi', () => {
  it.each(Object.keys(METHODS))('exchanges a code, refreshes and revokes with oauth4webapi: %s', async (method) => {
    const [clientId, authentication] = METHODS[method]!()
    const { as } = setup
    const client = { client_id: clientId }
    const verifier = oauth.generateRandomCodeVerifier()
    const url = callback(clientId, await oauth.calculatePKCECodeChallenge(verifier))
    const parameters = oauth.validateAuthResponse(as, client, url, 'the state')
    const exchanged = await oauth.processAuthorizationCodeResponse(
      as,
      client,
      await oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, REDIRECT_URI, verifier, {
        [oauth.customFetch]: setup.viaProxy,
      }),
    )
    expect(exchanged).toMatchObject({ token_type: 'bearer', expires_in: 900, scope: 'read write' })

    const refresh = async (refreshToken: string, more: Record<string, string> = {}) =>
      oauth.processRefreshTokenResponse(
        as,
        client,
        await oauth.refreshTokenGrantRequest(as, client, authentication, refreshToken, {
          [oauth.customFetch]: setup.viaProxy,
          additionalParameters: more,
        }),
      )
    const refreshed = await refresh(exchanged.refresh_token!, { scope: 'read' })
    expect(refreshed).toMatchObject({ scope: 'read', token_type: 'bearer' })
    expect(refreshed.refresh_token).not.toBe(exchanged.refresh_token)

    const revocation = await oauth.revocationRequest(as, client, authentication, refreshed.refresh_token!, {
      [oauth.customFetch]: setup.viaProxy,
    })
    await oauth.processRevocationResponse(revocation)
    await expect(refresh(refreshed.refresh_token!)).rejects.toMatchObject({ error: 'invalid_grant', status: 400 })
  })

  it('J-02 A-03: validates and introspects the access token with oauth4webapi', async () => {
    const { as } = setup
    const verifier = oauth.generateRandomCodeVerifier()
    const client = { client_id: 'web' }
    const url = callback('web', await oauth.calculatePKCECodeChallenge(verifier))
    const { access_token: accessToken } = await oauth.processAuthorizationCodeResponse(
      as,
      client,
      await oauth.authorizationCodeGrantRequest(
        as,
        client,
        oauth.None(),
        oauth.validateAuthResponse(as, client, url, 'the state'),
        REDIRECT_URI,
        verifier,
        { [oauth.customFetch]: setup.viaProxy },
      ),
    )
    const request = new Request(`${issuer}/me`, { headers: { authorization: `Bearer ${accessToken}` } })
    const claims = await oauth.validateJwtAccessToken(as, request, issuer, { [oauth.customFetch]: setup.viaProxy })
    expect(claims).toMatchObject({ sub: 'alice', client_id: 'web', scope: 'read write' })

    const api = { client_id: 'api' }
    const authentication = oauth.ClientSecretBasic(BACKEND_SECRET)
    const response = await oauth.introspectionRequest(as, api, authentication, accessToken, {
      [oauth.customFetch]: setup.viaProxy,
    })
    const introspection = await oauth.processIntrospectionResponse(as, api, response)
    expect(introspection).toMatchObject({ active: true, sub: 'alice', client_id: 'web', scope: 'read write' })
  })

  it('D-16: handles the DPoP nonce with oauth4webapi at the token endpoint and at the API', async () => {
    const { as } = setup
    const client = { client_id: 'native' }
    const handle = oauth.DPoP({}, await oauth.generateKeyPair('ES256'))
    const verifier = oauth.generateRandomCodeVerifier()
    const challenge = await oauth.calculatePKCECodeChallenge(verifier)
    const url = callback('native', challenge, { confirmation: { jkt: await handle.calculateThumbprint() } })
    const parameters = oauth.validateAuthResponse(as, client, url, 'the state')
    const options = { DPoP: handle, [oauth.customFetch]: setup.viaProxy }
    const exchange = () =>
      oauth.authorizationCodeGrantRequest(as, client, oauth.None(), parameters, REDIRECT_URI, verifier, options)
    let nonces = 0
    const process = async (request: () => Promise<Response>): Promise<oauth.TokenEndpointResponse> => {
      try {
        return await oauth.processAuthorizationCodeResponse(as, client, await request())
      } catch (error) {
        if (!oauth.isDPoPNonceError(error)) throw error
        nonces += 1
        return oauth.processAuthorizationCodeResponse(as, client, await request())
      }
    }
    const exchanged = await process(exchange)
    expect({ nonces, type: exchanged.token_type }).toEqual({ nonces: 1, type: 'dpop' })
    const refreshed = await oauth.processRefreshTokenResponse(
      as,
      client,
      await oauth.refreshTokenGrantRequest(as, client, oauth.None(), exchanged.refresh_token!, options),
    )
    expect(refreshed.token_type).toBe('dpop')
    const api = new URL(`${issuer}/me`)
    const me = await oauth.protectedResourceRequest(refreshed.access_token, 'GET', api, undefined, null, options)
    expect(await me.json()).toEqual({ sub: 'alice' })
  })
})

describe('openid-client', () => {
  const configured = (clientId: string, authentication: openid.ClientAuth) => {
    const configuration = new openid.Configuration(setup.as, clientId, undefined, authentication)
    configuration[openid.customFetch] = setup.viaProxy
    return configuration
  }

  it.each<[string, string, () => openid.ClientAuth]>([
    ['none', 'web', () => openid.None()],
    ['client_secret_basic', 'backend', () => openid.ClientSecretBasic(BACKEND_SECRET)],
    ['client_secret_post', 'backend', () => openid.ClientSecretPost(BACKEND_SECRET)],
    ['private_key_jwt', 'service', () => openid.PrivateKeyJwt(setup.keys.privateKey)],
  ])('exchanges a code, refreshes and revokes with openid-client: %s', async (_method, clientId, authentication) => {
    const configuration = configured(clientId, authentication())
    const pkceCodeVerifier = openid.randomPKCECodeVerifier()
    const url = callback(clientId, await openid.calculatePKCECodeChallenge(pkceCodeVerifier))
    const checks = { pkceCodeVerifier, expectedState: 'the state' }
    const exchanged = await openid.authorizationCodeGrant(configuration, url, checks)
    expect(exchanged).toMatchObject({ scope: 'read write', expires_in: 900 })
    const refreshed = await openid.refreshTokenGrant(configuration, exchanged.refresh_token!)
    await openid.tokenRevocation(configuration, refreshed.refresh_token!)
    await expect(openid.refreshTokenGrant(configuration, refreshed.refresh_token!)).rejects.toMatchObject({
      error: 'invalid_grant',
    })
  })

  it('G-02: rejects a repeated code and revokes the session for openid-client', async () => {
    const configuration = configured('web', openid.None())
    const pkceCodeVerifier = openid.randomPKCECodeVerifier()
    const url = callback('web', await openid.calculatePKCECodeChallenge(pkceCodeVerifier))
    const checks = { pkceCodeVerifier, expectedState: 'the state' }
    const exchanged = await openid.authorizationCodeGrant(configuration, url, checks)
    const again = openid.authorizationCodeGrant(configuration, url, checks)
    await expect(again).rejects.toMatchObject({ error: 'invalid_grant', status: 400 })
    const refresh = openid.refreshTokenGrant(configuration, exchanged.refresh_token!)
    await expect(refresh).rejects.toMatchObject({ error: 'invalid_grant' })
  })

  it('D-16: handles the DPoP nonce with openid-client and calls the API', async () => {
    const configuration = configured('native', openid.None())
    const DPoP = openid.getDPoPHandle(configuration, await openid.randomDPoPKeyPair('ES256'))
    const pkceCodeVerifier = openid.randomPKCECodeVerifier()
    const url = callback('native', await openid.calculatePKCECodeChallenge(pkceCodeVerifier))
    const checks = { pkceCodeVerifier, expectedState: 'the state' }
    const exchanged = await openid.authorizationCodeGrant(configuration, url, checks, {}, { DPoP })
    const refreshed = await openid.refreshTokenGrant(configuration, exchanged.refresh_token!, {}, { DPoP })
    const api = new URL(`${issuer}/me`)
    const { access_token: accessToken } = refreshed
    const me = await openid.fetchProtectedResource(configuration, accessToken, api, 'GET', null, new Headers(), {
      DPoP,
    })
    expect(await me.json()).toEqual({ sub: 'alice' })
  })

  it('introspects as a resource server with openid-client', async () => {
    const configuration = configured('web', openid.None())
    const pkceCodeVerifier = openid.randomPKCECodeVerifier()
    const url = callback('web', await openid.calculatePKCECodeChallenge(pkceCodeVerifier))
    const exchanged = await openid.authorizationCodeGrant(configuration, url, {
      pkceCodeVerifier,
      expectedState: 'the state',
    })
    const api = configured('api', openid.ClientSecretBasic(BACKEND_SECRET))
    expect(await openid.tokenIntrospection(api, exchanged.access_token)).toMatchObject({ active: true, sub: 'alice' })
    expect(await openid.tokenIntrospection(api, exchanged.refresh_token!)).toEqual({ active: false })
  })
})
