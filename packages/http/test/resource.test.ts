import { describe, expect, test } from 'vitest'
import {
  accessTokenGuard,
  type AccessTokens,
  introspectionEndpoint,
  jwtAccessTokens,
  loginEndpoint,
  sealedAccessTokens,
} from '../src/index.js'
import { createApp, ISSUER, jsonOf, request, SIGNING_KEY } from './app.js'
import { basic, expectError, post, refreshWith, createSetup } from './setup.js'

/** The same resource in the spellings that RFC 3986 section 6.2 calls equivalent. */
const SPELLINGS = ['https://api.example', 'https://api.example/', 'HTTPS://API.example', 'https://api.example:443/']
/** Values that are no resource of the grant, or no resource at all (RFC 8707 section 2). */
const INVALID = [
  'https://api.example/#fragment',
  'https://api.example/other',
  'http://api.example/',
  '/relative',
  'api.example',
  '//api.example',
  '#',
  'https://',
  'https://[',
  ':',
]
const RS_SECRET = 'secret-of-a-resource-server-0123'

const KINDS: Readonly<Record<string, (audience: string) => AccessTokens>> = {
  JWT: (audience) => jwtAccessTokens({ issuer: ISSUER, audience, keys: [SIGNING_KEY] }),
  sealed: (audience) =>
    sealedAccessTokens({ issuer: ISSUER, audience, secrets: ['a secret of access tokens in a test, 32 bytes'] }),
}

/** RFC 7636 appendix B. */
const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'

function server(audience: string, kind = 'JWT') {
  const accessTokens = KINDS[kind]?.(audience)
  if (accessTokens === undefined) throw new Error(`no such kind: ${kind}`)
  const setup = createSetup({ accessTokens })
  async function exchange(granted: readonly string[], resource: Record<string, string>) {
    const code = setup.codes.issue({
      subject: 'alice',
      clientId: 'pub',
      redirectUri: null,
      codeChallenge: CHALLENGE,
      audience: granted,
    })
    const parameters = { grant_type: 'authorization_code', client_id: 'pub', code, code_verifier: VERIFIER }
    return post(setup.token, { ...parameters, ...resource })
  }
  const refresh = async (granted: readonly string[], resource: Record<string, string>) =>
    refreshWith(setup.token, await setup.issue({ audience: granted }), resource)
  return { ...setup, accessTokens, grants: { refresh_token: refresh, authorization_code: exchange } }
}

describe.each(['refresh_token', 'authorization_code'] as const)('the %s grant', (grant) => {
  test.each(SPELLINGS)('accepts the granted resource as %s, and keeps the spelling of the grant', async (resource) => {
    for (const granted of SPELLINGS) {
      const { grants, accessTokens, clock } = server('https://default.example')
      const { body } = await grants[grant](['https://other.example', granted], { resource })
      expect(await accessTokens.read(body.access_token, clock.now)).toMatchObject({ aud: granted })
    }
  })

  test.each(SPELLINGS)('accepts the default audience as %s if the grant names no resource', async (resource) => {
    const { grants, accessTokens, clock } = server('https://api.example')
    const { body } = await grants[grant]([], { resource })
    expect(await accessTokens.read(body.access_token, clock.now)).toMatchObject({ aud: 'https://api.example' })
  })

  test('rejects the default audience if the grant names other resources', async () => {
    const { grants } = server('https://api.example')
    const response = await grants[grant](['https://other.example'], { resource: 'https://api.example' })
    expectError(response, 400, 'invalid_target')
  })

  test.each(INVALID)('rejects the resource %s with invalid_target', async (resource) => {
    const { grants, errors } = server('https://api.example')
    for (const granted of [[], ['https://api.example']])
      expectError(await grants[grant](granted, { resource }), 400, 'invalid_target')
    expect(errors).toEqual([])
  })

  test('compares a name that is not a URL as text', async () => {
    const { grants } = server('https://api.example')
    expect(await grants[grant](['my-api'], { resource: 'my-api' })).toMatchObject({ status: 200 })
    for (const resource of ['My-API', 'my-api/'])
      expectError(await grants[grant](['my-api'], { resource }), 400, 'invalid_target')
  })
})

describe.each(Object.keys(KINDS))('the audience of %s access tokens', (kind) => {
  test.each(SPELLINGS)('an access token passes the guard as %s', async (audience) => {
    for (const granted of SPELLINGS) {
      const { tokens, clock, accessTokens } = server(audience, kind)
      const { family } = await tokens.issue({ subject: 'alice', audience: [granted] })
      const grant = { family, scope: '', audience: [granted], claims: {}, confirmation: null, maxLifetimeSeconds: 900 }
      const minted = await accessTokens.mint({ ...grant, now: clock.now })
      const guard = accessTokenGuard({ accessTokens, now: () => clock.now })
      const headers = { authorization: `Bearer ${minted.accessToken}` }
      expect(await guard(request({ headers }))).toMatchObject({ ok: true, claims: { aud: granted } })
    }
  })

  test('the guard of another resource rejects an access token', async () => {
    const { tokens, clock, accessTokens } = server('https://api.example/mcp', kind)
    const { family } = await tokens.issue({ subject: 'alice' })
    for (const audience of [['https://api.example/MCP'], ['https://api.example/mcp/'], ['https://api.example']]) {
      const grant = {
        family,
        scope: '',
        audience,
        claims: {},
        confirmation: null,
        maxLifetimeSeconds: 900,
        now: clock.now,
      }
      expect(await accessTokens.verify((await accessTokens.mint(grant)).accessToken, clock.now)).toBeNull()
    }
  })

  test.each(SPELLINGS)('lets a resource server registered as %s introspect', async (registered) => {
    for (const granted of SPELLINGS) {
      const { grants, tokens, clock, accessTokens } = server('https://default.example', kind)
      const { body } = await grants.refresh_token([granted], {})
      const clients = [{ clientId: 'rs', secret: RS_SECRET, introspectionAudiences: [registered] }]
      const introspect = introspectionEndpoint(tokens, {
        clients,
        accessTokens,
        rateLimit: false,
        now: () => clock.now,
      })
      const headers = { authorization: basic('rs', RS_SECRET) }
      expect(await post(introspect, { token: body.access_token }, { headers })).toMatchObject({
        body: { active: true, aud: granted },
      })
    }
  })
})

describe('the login endpoint', () => {
  function loginWith(audience: readonly unknown[]) {
    const app = createApp()
    const login = loginEndpoint(app.tokens, {
      ...app.shared,
      accessTokens: app.accessTokens,
      authenticate: async () => ({ subject: 'alice', audience: audience as string[] }),
    })
    return { ...app, login: () => login(request({ json: {} })) }
  }

  test('a login grants each resource once', async () => {
    const { login, tokens } = loginWith(SPELLINGS)
    expect((await login()).status).toBe(200)
    expect((await tokens.list({ subject: 'alice' })).items).toMatchObject([{ audience: ['https://api.example'] }])
  })

  test.each([['https://api.example/#fragment'], ['/relative'], ['//api.example'], [''], [1], ['urn:example:api#a']])(
    'a login rejects the resource %s with invalid_target and starts no session',
    async (resource) => {
      const { login, tokens, errors } = loginWith([resource])
      const response = await login()
      expect([response.status, jsonOf(response).error, errors]).toEqual([400, 'invalid_target', []])
      expect((await tokens.list({ subject: 'alice' })).items).toEqual([])
    },
  )
})
