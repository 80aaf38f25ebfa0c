import { describe, expect, it } from 'vitest'
import { authServer, refreshEndpoint } from '../../src/index.js'
import { createApp } from '../app.js'
import { expectError, FORM_TYPE, fromPage, readableAccessTokens, send, createSetup } from '../setup.js'

const accessTokens = readableAccessTokens()

function refreshWorld(options: object = {}) {
  const app = createSetup()
  const refresh = refreshEndpoint(app.tokens, { accessTokens, rateLimit: false, now: () => app.clock.now, ...options })
  const issue = async (clientId = 'first-party') =>
    (await app.tokens.issue({ subject: 'alice', clientId, scope: 'read' })).refreshToken
  const post = (body: string, type: string) => send(refresh, { body, headers: { 'content-type': type } })
  return { ...app, refresh, issue, post, postJson: (body: object) => post(JSON.stringify(body), 'application/json') }
}

describe('refreshEndpoint with the token in a body', () => {
  it.each<[string, (token: string) => [string, string]]>([
    ['a JSON body', (token: string) => [JSON.stringify({ refresh_token: token }), 'application/json']],
    ['a form body', (token: string) => [`refresh_token=${token}`, FORM_TYPE]],
  ])('accepts %s without any client registration and returns the new token in the body', async (_name, bodyFor) => {
    const { issue, post } = refreshWorld()
    const first = await issue()
    const response = await post(...bodyFor(first))
    const { status, body } = response
    expect(status).toBe(200)
    expect(body).toMatchObject({ token_type: 'Bearer', scope: 'read', access_token: expect.any(String) })
    expect(response.header('set-cookie')).toBeNull()
    expect(body.refresh_token).not.toBe(first)
    expect((await post(...bodyFor(String(body.refresh_token)))).status).toBe(200)
  })

  it('reads the field that bodyField names, and no other', async () => {
    const { issue, postJson, post } = refreshWorld({ bodyField: 'refreshToken' })
    const token = await issue()
    expectError(await postJson({ refresh_token: token }), 400, 'invalid_request')
    expectError(await post(`refreshToken=${token}&refreshToken=${token}`, FORM_TYPE), 400, 'invalid_request')
    const { body } = await postJson({ refreshToken: token })
    expect((await post(`refreshToken=${String(body.refresh_token)}`, FORM_TYPE)).status).toBe(200)
  })

  it.each([
    ['no body', '', undefined],
    ['an empty object', '{}', 'application/json'],
    ['a number', '{"refresh_token":1}', 'application/json'],
    ['malformed JSON', '{', 'application/json'],
    ['another media type', 'refresh_token=x', 'text/plain'],
  ])('rejects %s as an invalid request', async (_name, body, type) => {
    const { refresh } = refreshWorld()
    expectError(await send(refresh, { body, headers: { 'content-type': type } }), 400, 'invalid_request')
  })

  it('rejects a token of another client without consuming it', async () => {
    const { issue, postJson, tokens } = refreshWorld()
    const token = await issue('other')
    expectError(await postJson({ refresh_token: token }), 400, 'invalid_grant')
    expect((await tokens.inspect(token)).active).toBe(true)
  })

  it('revokes the family if a token is reused', async () => {
    const { issue, postJson, clock } = refreshWorld()
    const first = await issue()
    const second = String((await postJson({ refresh_token: first })).body.refresh_token)
    const third = String((await postJson({ refresh_token: second })).body.refresh_token)
    clock.now += 120_000
    expectError(await postJson({ refresh_token: first }), 400, 'invalid_grant')
    expectError(await postJson({ refresh_token: third }), 400, 'invalid_grant')
  })

  it('ignores the body if the request has the cookie, which needs the proof against cross-site requests', async () => {
    const { issue, refresh } = refreshWorld({ cookie: true })
    const [inCookie, inBody] = [await issue(), await issue()]
    const patch = fromPage(inCookie)
    const json = { 'content-type': 'application/json' }
    const body = JSON.stringify({ refresh_token: inBody })
    const forged = { body, headers: { ...json, cookie: `__Host-baton=${inCookie}` } }
    expectError(await send(refresh, forged), 403, 'access_denied')
    const response = await send(refresh, { ...patch, body, headers: { ...patch.headers, ...json } })
    expect(response.status).toBe(200)
    expect(response.body).not.toHaveProperty('refresh_token')
    expect((await send(refresh, { body, headers: json })).body).toHaveProperty('refresh_token')
  })
})

it('a login in the body can be refreshed at the refresh endpoint of a server without clients', async () => {
  const app = createApp()
  const authenticate = async () => ({ subject: 'alice' })
  const server = authServer(app.tokens, { ...app.shared, accessTokens: app.accessTokens, authenticate })
  expect(server.routes.map(({ route }) => route)).toEqual(['jwks', 'login', 'refresh', 'account'])
  const headers = { 'content-type': 'application/json' }
  const at = (url: string, body: object) => send(server.endpoint, { url, headers, body: JSON.stringify(body) })
  const login = await at('/auth/login', { username: 'alice' })
  const refreshed = await at('/auth/refresh', { refresh_token: login.body.refresh_token })
  expect(refreshed.body).toMatchObject({ access_token: expect.any(String), refresh_token: expect.any(String) })
  expectError(await send(server.endpoint, { url: '/auth/token' }), 404, 'not_found')
})
