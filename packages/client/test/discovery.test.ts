import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { beginAuthorization } from '../src/authorization.js'
import { discover } from '../src/discovery.js'
import { ConfigurationError } from '../src/platform/errors.js'
import { oauthEndpoints } from '../src/oauth.js'
import { startForeignServer } from './foreign-server.js'

const OAUTH = '/.well-known/oauth-authorization-server'
const OPENID = '/.well-known/openid-configuration'

let server: Server
let origin: string
/** What is answered, by path; 404 for all else. */
let answers: Record<string, { readonly status?: number; readonly body?: unknown; readonly location?: string }>
let asked: string[]

beforeEach(async () => {
  answers = {}
  asked = []
  server = createServer((request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    const { status = 200, body, location } = answers[path] ?? { status: 404 }
    response.writeHead(status, location === undefined ? {} : { location })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
})
afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

const metadata = (issuer: string, more: object = {}) => ({ issuer, token_endpoint: `${issuer}/token`, ...more })

describe('discovery', () => {
  test('finds the endpoints of a real oidc-provider', async () => {
    const foreign = await startForeignServer()
    try {
      expect(await discover(foreign.origin)).toEqual({
        issuer: foreign.origin,
        tokenEndpoint: `${foreign.origin}/token`,
        authorizationEndpoint: `${foreign.origin}/auth`,
        revocationEndpoint: `${foreign.origin}/token/revocation`,
        authorizationResponseIssParameterSupported: true,
      })
    } finally {
      await foreign.stop()
    }
  })

  test('CL-12 the well-known part is inserted before the path of the issuer', async () => {
    const issuer = `${origin}/tenant`
    answers[`${OAUTH}/tenant`] = { body: metadata(issuer, { unknown: 1 }) }
    expect(await discover(issuer)).toEqual({ issuer, tokenEndpoint: `${issuer}/token` })
    expect(asked).toEqual([`${OAUTH}/tenant`])
  })

  test.each([
    [true, { idempotencyKey: true }],
    [false, {}],
    ['true', {}],
    [undefined, {}],
  ])('a server accepts the Idempotency-Key if its metadata says so: %s', async (supported, expected) => {
    answers[OAUTH] = { body: metadata(origin, { idempotency_key_supported: supported }) }
    const found = await discover(origin)
    expect(found).toEqual({ issuer: origin, tokenEndpoint: `${origin}/token`, ...expected })
    const session = { refreshToken: 'rt', sid: null }
    const call = oauthEndpoints({ ...found, clientId: 'web' }).refresh(session, 'key')
    expect(call?.headers['idempotency-key']).toBe(supported === true ? 'key' : undefined)
  })

  test('fetches the OpenID Connect configuration if there is no OAuth metadata', async () => {
    const issuer = `${origin}/tenant`
    answers[`/tenant${OPENID}`] = { body: metadata(issuer) }
    expect(await discover(issuer)).toMatchObject({ tokenEndpoint: `${issuer}/token` })
    expect(asked).toEqual([`${OAUTH}/tenant`, `/tenant${OPENID}`])
  })

  test.each([
    ['another host', () => 'https://login.example'],
    ['a slash more', () => `${origin}/`],
    ['none', () => undefined],
  ])('CL-12 rejects metadata of another issuer: %s', async (_name, named) => {
    answers[OAUTH] = { body: { ...metadata(origin), issuer: named() } }
    answers[OPENID] = { body: metadata(origin) }
    await expect(discover(origin)).rejects.toMatchObject({ code: 'bad_answer' })
  })

  test.each([
    ['an outage', { status: 503 }, 'unavailable'],
    ['HTML', { body: '<html>' }, 'unavailable'],
    ['a redirect', { status: 302, location: '/elsewhere' }, 'unavailable'],
    ['no document at all', { status: 404 }, 'bad_answer'],
    ['no token endpoint', { body: 'only issuer' }, 'bad_answer'],
  ])('%s is an error', async (_name, answer, code) => {
    answers[OAUTH] = 'body' in answer && answer.body === 'only issuer' ? { body: { issuer: origin } } : answer
    await expect(discover(origin)).rejects.toMatchObject({ code })
    expect(asked).not.toContain('/elsewhere')
  })

  test('CL-10 rejects issuers and endpoints with plain http', async () => {
    for (const issuer of ['http://login.example', 'https://login.example/?tenant=1', 'login.example'])
      await expect(discover(issuer)).rejects.toMatchObject({ option: 'issuer' })
    await expect(discover('http://login.localhost/?tenant=1')).rejects.toBeInstanceOf(ConfigurationError)
    const fine = { authorization_endpoint: 'https://login.example/authorize', revocation_endpoint: undefined }
    const wrong = [
      'http://login.example/x',
      'javascript:alert(1)//',
      'data:text/html,x',
      '/x',
      'https://login.example/#x',
    ]
    for (const name of ['token_endpoint', 'authorization_endpoint', 'revocation_endpoint'])
      for (const url of wrong) {
        answers[OAUTH] = { body: metadata(origin, { ...fine, [name]: url }) }
        await expect(discover(origin)).rejects.toMatchObject({
          code: 'bad_answer',
          reason: expect.stringContaining(name),
        })
      }
  })

  test('a sign-in with discovered endpoints rejects responses of another issuer', async () => {
    const authorization_endpoint = `${origin}/authorize`
    for (const supported of [true, false, undefined]) {
      const authorization_response_iss_parameter_supported = supported
      answers[OAUTH] = {
        body: metadata(origin, { authorization_endpoint, authorization_response_iss_parameter_supported }),
      }
      const { authorizationEndpoint = '', ...found } = await discover(origin)
      const options = { ...found, authorizationEndpoint, clientId: 'web', redirectUri: 'https://app.example/callback' }
      const { pending } = await beginAuthorization(options)
      expect(pending).toMatchObject({ issuer: origin, issuerRequired: supported === true })
    }
  })
})
