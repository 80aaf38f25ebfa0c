import { assertionBy } from './assertions.js'
import { prove } from './proofs.js'
import type { WireRequest } from './wire.js'
import { BACKEND_SECRET, ISSUER, NOW } from './world.js'

/** The tokens and earlier responses that a request can use. */
export interface Memory {
  /** Returns a token of the world by its name. */
  readonly issued: (name: string) => string
  /** Returns a member of the JSON body of an earlier response, by the name of the step. */
  readonly member: (step: string, member: string) => string
  /** Returns a header of an earlier response. */
  readonly header: (step: string, name: string) => string
  /** Returns the cookie of an earlier response as a browser would send it. */
  readonly cookie: (step: string) => string
}

export interface Step {
  readonly name: string
  readonly status: number
  readonly request: (memory: Memory) => WireRequest
}

type Headers = NonNullable<WireRequest['headers']>
type Fields = Readonly<Record<string, string>>

const steps: Step[] = []

/** Adds a request with the status that every server must return. The rest of the response is compared with that of the others. */
function step(name: string, status: number, request: Step['request']): void {
  steps.push({ name, status, request })
}

const FORM_TYPE = 'application/x-www-form-urlencoded'
const typed = (type: string): Headers => [['Content-Type', type]]
const basic = (clientId: string, secret: string): [string, string] => [
  'Authorization',
  `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}`,
]
const raw = (target: string, body: string | Uint8Array, headers: Headers = []): WireRequest => ({
  method: 'POST',
  target,
  headers: [...typed(FORM_TYPE), ...headers],
  body,
})
const form = (target: string, fields: Fields, headers: Headers = []) =>
  raw(target, new URLSearchParams(fields).toString(), headers)
const json = (target: string, value: unknown, headers: Headers = []): WireRequest => ({
  method: 'POST',
  target,
  headers: [...typed('application/json'), ...headers],
  body: typeof value === 'string' ? value : JSON.stringify(value),
})
const bearer = (token: string): Headers => [['Authorization', `Bearer ${token}`]]

const TOKEN = '/oauth/token'
const refresh = (token: string, more: Fields = {}): Fields => ({
  grant_type: 'refresh_token',
  refresh_token: token,
  client_id: 'web',
  ...more,
})
/** Returns a valid request as text. The steps change one part of it. */
const valid = (memory: Memory) => new URLSearchParams(refresh(memory.issued('scoped'))).toString()

// The token endpoint: valid requests.

step('a refresh token is rotated', 200, ({ issued }) => form(TOKEN, refresh(issued('web'))))
step('a second refresh follows', 200, ({ member }) =>
  form(TOKEN, refresh(member('a refresh token is rotated', 'refresh_token'))),
)
step('a lost response is requested again', 200, ({ member }) =>
  form(TOKEN, refresh(member('a refresh token is rotated', 'refresh_token'))),
)
step('a query is ignored', 200, (memory) => raw(`${TOKEN}?tenant=1&scope=x`, valid(memory)))
step('unknown parameters are ignored, repeated ones too', 200, (memory) =>
  raw(TOKEN, `${valid(memory)}&foo=1&foo=2&bar[x][y]=z&__proto__=a&constructor=b`),
)
step('a media type in capitals, with a charset', 200, (memory) => ({
  ...raw(TOKEN, valid(memory)),
  headers: typed('Application/X-WWW-Form-URLEncoded; Charset="UTF-8"'),
}))
step('a body in chunks', 200, (memory) => ({ ...raw(TOKEN, valid(memory)), chunked: true }))
step('a narrower scope', 200, ({ issued }) => form(TOKEN, refresh(issued('scoped'), { scope: 'read' })))
step('an empty scope counts as missing', 200, ({ issued }) => form(TOKEN, refresh(issued('scoped'), { scope: '' })))
step('an Idempotency-Key', 200, ({ issued }) =>
  form(TOKEN, refresh(issued('retried')), [['Idempotency-Key', 'x'.repeat(22)]]),
)
step('the same Idempotency-Key', 200, ({ issued }) =>
  form(TOKEN, refresh(issued('retried')), [['Idempotency-Key', 'x'.repeat(22)]]),
)
step('a client secret in the header', 200, ({ issued }) =>
  form(TOKEN, { grant_type: 'refresh_token', refresh_token: issued('of backend') }, [basic('backend', BACKEND_SECRET)]),
)
step('a client secret in the body', 200, ({ issued }) =>
  form(TOKEN, refresh(issued('backend by post'), { client_id: 'backend', client_secret: BACKEND_SECRET })),
)
step('an empty client_secret is not a second method', 200, ({ issued }) =>
  form(
    TOKEN,
    { grant_type: 'refresh_token', refresh_token: issued('of backend'), client_secret: '', client_id: 'backend' },
    [basic('backend', BACKEND_SECRET)],
  ),
)

// Authorization codes.

/** RFC 7636 appendix B. */
const exchange = (code: string, more: Fields = {}): Fields => ({
  grant_type: 'authorization_code',
  code,
  code_verifier: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
  client_id: 'web',
  ...more,
})
step('a code with another verifier', 400, ({ issued }) =>
  form(TOKEN, exchange(issued('a code'), { code_verifier: 'x'.repeat(43) })),
)
step('a code with a redirect URI that the request did not have', 400, ({ issued }) =>
  form(TOKEN, exchange(issued('a code'), { redirect_uri: 'https://app.example/' })),
)
step('a code of another client', 400, ({ issued }) => form(TOKEN, exchange(issued('a code of backend'))))
step('a code without a verifier', 400, ({ issued }) => form(TOKEN, exchange(issued('a code'), { code_verifier: '' })))
step('an expired code', 400, ({ issued }) => form(TOKEN, exchange(issued('an expired code'))))
step('a refresh token as a code', 400, ({ issued }) => form(TOKEN, exchange(issued('web'))))
step('a code as a refresh token', 400, ({ issued }) => form(TOKEN, refresh(issued('a code'))))
step('a code is exchanged', 200, ({ issued }) => form(TOKEN, exchange(issued('a code'))))
step('its refresh token works', 200, ({ member }) =>
  form(TOKEN, refresh(member('a code is exchanged', 'refresh_token'))),
)
step('the code is reused', 400, ({ issued }) => form(TOKEN, exchange(issued('a code'))))
step('the session of a reused code is revoked', 400, ({ member }) =>
  form(TOKEN, refresh(member('its refresh token works', 'refresh_token'))),
)
step('a code of a client with a secret', 200, ({ issued }) =>
  form(TOKEN, exchange(issued('a code of backend'), { client_id: 'backend' }), [basic('backend', BACKEND_SECRET)]),
)
step('a code of a client that gets no refresh token', 200, ({ issued }) =>
  form(TOKEN, exchange(issued('a code without refresh tokens'), { client_id: 'codes-only' })),
)

// Rejected refresh tokens.

step('reuse: a first rotation', 200, ({ issued }) => form(TOKEN, refresh(issued('reused'))))
step('reuse: a second rotation', 200, ({ member }) =>
  form(TOKEN, refresh(member('reuse: a first rotation', 'refresh_token'))),
)
step('reuse: an old token revokes the family', 400, ({ issued }) => form(TOKEN, refresh(issued('reused'))))
step('reuse: the latest token is rejected', 400, ({ member }) =>
  form(TOKEN, refresh(member('reuse: a second rotation', 'refresh_token'))),
)
step('an expired token', 400, ({ issued }) => form(TOKEN, refresh(issued('expired'))))
step('a revoked token', 400, ({ issued }) => form(TOKEN, refresh(issued('revoked'))))
step('the token of another client', 400, ({ issued }) => form(TOKEN, refresh(issued('of other'))))
step('garbage as a refresh token', 400, () => form(TOKEN, refresh('garbage')))
step('a token with its last character changed', 400, ({ issued }) =>
  form(TOKEN, refresh(`${issued('web').slice(0, -1)}!`)),
)

// Invalid requests to the token endpoint.

step('no grant type', 400, ({ issued }) => form(TOKEN, { refresh_token: issued('scoped'), client_id: 'web' }))
step('an unsupported grant type', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('scoped'), { grant_type: 'password' })),
)
step('a grant type in capitals', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('scoped'), { grant_type: 'REFRESH_TOKEN' })),
)
step('the grant type __proto__', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('scoped'), { grant_type: '__proto__' })),
)
step('a parameter name in capitals', 400, ({ issued }) =>
  form(TOKEN, { Grant_Type: 'refresh_token', refresh_token: issued('scoped'), client_id: 'web' }),
)
step('a client that is not registered for the grant type', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('scoped'), { client_id: 'codes-only' })),
)
step('no refresh token', 400, () => form(TOKEN, { grant_type: 'refresh_token', client_id: 'web' }))
step('an empty refresh token', 400, () => form(TOKEN, refresh('')))
step('a wider scope', 400, ({ issued }) => form(TOKEN, refresh(issued('scoped'), { scope: 'read admin' })))
step('a malformed scope', 400, ({ issued }) => form(TOKEN, refresh(issued('scoped'), { scope: 'read "write"' })))
step('a resource outside the grant', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('scoped'), { resource: 'https://elsewhere.example' })),
)
step('two resources outside the grant', 400, (memory) =>
  raw(TOKEN, `${valid(memory)}&resource=https://a.example&resource=https://b.example`),
)
for (const name of ['grant_type', 'refresh_token', 'client_id', 'scope', 'code', 'client_secret'])
  step(`${name} is repeated`, 400, (memory) => raw(TOKEN, `${valid(memory)}&${name}=one&${name}=two`))
step('a parameter is repeated with the same value', 400, (memory) => raw(TOKEN, `${valid(memory)}&client_id=web`))
step('a list in brackets is another parameter', 400, () =>
  raw(TOKEN, 'grant_type=refresh_token&client_id=web&refresh_token[]=x'),
)
step('a field in brackets is another parameter', 400, () =>
  raw(TOKEN, 'grant_type=refresh_token&client_id=web&refresh_token[a]=x'),
)
step('an empty body', 400, () => raw(TOKEN, ''))
step('no body at all', 400, () => ({ method: 'POST', target: TOKEN, headers: typed(FORM_TYPE) }))
step('a body of separators', 400, () => raw(TOKEN, '&&=&'))
step('too many parameters', 400, (memory) => raw(TOKEN, `${valid(memory)}&${'a=1&'.repeat(200)}`))
step('a percent sign without digits in a value', 400, () =>
  raw(TOKEN, 'grant_type=refresh_token&client_id=web&refresh_token=%ZZ'),
)
step('a percent sign at the end', 400, () => raw(TOKEN, 'grant_type=refresh_token&client_id=web&refresh_token=a%'))
step('a percent sign without digits in a name', 400, (memory) => raw(TOKEN, `${valid(memory)}&%ZZ=1`))
step('an escape that is not UTF-8', 400, () => raw(TOKEN, 'grant_type=refresh_token&client_id=web&refresh_token=%FF'))
step('an escaped NUL', 400, () => raw(TOKEN, 'grant_type=refresh_token&client_id=web&refresh_token=%00'))
step('bytes that are not UTF-8', 400, () =>
  raw(TOKEN, Buffer.from('grant_type=refresh_token&client_id=web&refresh_token=\xff', 'latin1')),
)
step('a body of the maximum length', 400, () => raw(TOKEN, padded(65_536)))
step('a body of one byte more', 413, () => raw(TOKEN, padded(65_537)))
step('a body far too large', 413, () => raw(TOKEN, padded(300_000)))
step('a body far too large, in chunks', 413, () => ({ ...raw(TOKEN, padded(300_000)), chunked: true }))

function padded(length: number): string {
  const start = 'grant_type=refresh_token&client_id=web&refresh_token='
  return start + 'x'.repeat(length - start.length)
}

// Media types and methods.

for (const type of [
  'application/json',
  'text/plain',
  'multipart/form-data; boundary=x',
  'text/csv',
  'nonsense',
  '/',
  '',
])
  step(`the media type ${JSON.stringify(type)}`, 400, (memory) => ({
    ...raw(TOKEN, valid(memory)),
    headers: typed(type),
  }))
step('JSON where a form belongs', 400, ({ issued }) => json(TOKEN, refresh(issued('scoped'))))
step('no media type', 400, (memory) => ({ ...raw(TOKEN, valid(memory)), headers: [] }))
step('a charset that is not UTF-8', 400, (memory) => ({
  ...raw(TOKEN, valid(memory)),
  headers: typed(`${FORM_TYPE}; charset=iso-8859-1`),
}))
for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']) {
  step(`${method} at the token endpoint`, 405, () => ({ method, target: `${TOKEN}?grant_type=refresh_token` }))
}
for (const method of ['PUT', 'DELETE', 'PATCH'])
  step(`${method} with a form at the token endpoint`, 405, (memory) => ({ ...raw(TOKEN, valid(memory)), method }))
step('credentials in the query', 400, (memory) => raw(`${TOKEN}?${valid(memory)}`, ''))

// Client authentication.

step('a wrong secret in the header', 401, ({ issued }) =>
  form(TOKEN, { grant_type: 'refresh_token', refresh_token: issued('of backend') }, [basic('backend', 'wrong')]),
)
step('an unknown client in the header', 401, ({ issued }) =>
  form(TOKEN, { grant_type: 'refresh_token', refresh_token: issued('of backend') }, [basic('unknown', 'wrong')]),
)
step('a wrong secret in the body', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('of backend'), { client_id: 'backend', client_secret: 'wrong' })),
)
step('no secret from a confidential client', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('of backend'), { client_id: 'backend' })),
)
step('a secret from a public client', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('scoped'), { client_secret: 'secret' })),
)
step('no client', 400, ({ issued }) => form(TOKEN, { grant_type: 'refresh_token', refresh_token: issued('scoped') }))
step('Basic that is not base64', 401, (memory) => raw(TOKEN, valid(memory), [['Authorization', 'Basic ?']]))
step('a scheme that is no client authentication', 401, (memory) => raw(TOKEN, valid(memory), bearer('x')))
step('an empty Authorization header', 401, (memory) => raw(TOKEN, valid(memory), [['Authorization', '']]))
step('two methods of client authentication', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('of backend'), { client_id: 'backend', client_secret: BACKEND_SECRET }), [
    basic('backend', BACKEND_SECRET),
  ]),
)
step('two Authorization headers', 400, ({ issued }) =>
  form(TOKEN, { grant_type: 'refresh_token', refresh_token: issued('of backend') }, [
    basic('backend', BACKEND_SECRET),
    basic('backend', BACKEND_SECRET),
  ]),
)
step('a client_id that differs from the header', 400, ({ issued }) =>
  form(TOKEN, refresh(issued('of backend')), [basic('backend', BACKEND_SECRET)]),
)

// Middleware that changes headers before the endpoint sees them.

const edit = (change: string): [string, string] => ['X-Edit', change]
const asBackend = basic('backend', BACKEND_SECRET)
const ofBackend = ({ issued }: Memory) => ({ grant_type: 'refresh_token', refresh_token: issued('of backend') })
step('client credentials that middleware removes', 400, (memory) =>
  form(TOKEN, ofBackend(memory), [asBackend, edit('authorization')]),
)
step('client credentials that middleware sets', 200, (memory) =>
  form(TOKEN, ofBackend(memory), [edit(`authorization=${asBackend[1]}`)]),
)
step('client credentials that middleware replaces', 200, (memory) =>
  form(TOKEN, ofBackend(memory), [basic('other', 'wrong'), edit(`authorization=${asBackend[1]}`)]),
)
step('repeated client credentials that middleware replaces', 200, (memory) =>
  form(TOKEN, ofBackend(memory), [
    basic('other', 'wrong'),
    basic('other', 'wrong'),
    edit(`authorization=${asBackend[1]}`),
  ]),
)

// Failures of the server and exhausted limits.

step('too many requests for a token', 429, ({ issued }) => form('/limited/token', refresh(issued('limited'))))
step('too many requests for a login', 429, () => json('/limited/login', { username: 'bob', password: 'builder' }))
step('a failing store, for a refresh', 503, ({ issued }) => form('/broken/token', refresh(issued('web'))))
step('a failing store, for a revocation', 503, ({ issued }) =>
  form('/broken/revoke', { token: issued('web'), client_id: 'web' }),
)
step('a failing store, for a login', 503, () => json('/broken/login', { username: 'bob', password: 'builder' }))
step('an access token with characters that no header can have, for a refresh', 503, ({ issued }) =>
  form('/misbehaving/token', refresh(issued('limited'))),
)
step('an access token with characters that no header can have, for a login', 500, () =>
  json('/misbehaving/login', { username: 'bob', password: 'builder' }),
)

// Revocation.

const REVOKE = '/oauth/revoke'
step('a revocation', 200, ({ issued }) => form(REVOKE, { token: issued('to be revoked'), client_id: 'web' }))
step('the same revocation again', 200, ({ issued }) =>
  form(REVOKE, { token: issued('to be revoked'), client_id: 'web' }),
)
step('a revoked token is rejected', 400, ({ issued }) => form(TOKEN, refresh(issued('to be revoked'))))
step('a revocation of garbage', 200, () => form(REVOKE, { token: 'garbage', client_id: 'web' }))
step('a revocation with a hint that is wrong', 200, ({ issued }) =>
  form(REVOKE, { token: issued('backend to be revoked'), token_type_hint: 'access_token' }, [
    basic('backend', BACKEND_SECRET),
  ]),
)
step("a revocation of another client's token", 400, ({ issued }) =>
  form(REVOKE, { token: issued('of other'), client_id: 'web' }),
)
step('a revocation without a token', 400, () => form(REVOKE, { client_id: 'web' }))
step('a revocation of two tokens', 400, () => raw(REVOKE, 'client_id=web&token=a&token=b'))
step('a revocation without a client', 400, () => form(REVOKE, { token: 'garbage' }))
step('a revocation with a wrong secret', 401, () => form(REVOKE, { token: 'garbage' }, [basic('backend', 'wrong')]))
step('a revocation as JSON', 400, () => json(REVOKE, { token: 'garbage', client_id: 'web' }))
step('GET at the revocation endpoint', 405, () => ({ method: 'GET', target: `${REVOKE}?token=garbage` }))

// Sign-in.

const LOGIN = '/login'
const bob = { username: 'bob', password: 'builder' }
const OWN: [string, string] = ['Origin', 'http://localhost:3000']
step('a login with tokens in the body', 200, () => json(LOGIN, { ...bob, deliver: 'body' }))
step('a login with a cookie', 200, () => json(LOGIN, bob, [OWN, ['User-Agent', 'Parity/1']]))
step('a login that replaces another session', 200, ({ cookie }) =>
  json(LOGIN, bob, [OWN, ['Cookie', cookie('a login with a cookie')]]),
)
step('a login on a second device', 200, () => json(LOGIN, { ...bob, scope: 'read write' }, [OWN]))
step('a wrong password', 401, () => json(LOGIN, { ...bob, password: 'wrong' }))
step('a login without a name', 400, () => json(LOGIN, { password: 'builder' }))
step('a login with a malformed scope', 400, () => json(LOGIN, { ...bob, scope: '"', deliver: 'body' }))
step('a login from a page of another site', 403, () => json(LOGIN, bob, [['Origin', 'https://evil.example']]))
step('a login that is not an object', 400, () => json(LOGIN, ['bob']))
step('a login that is not JSON', 400, () => json(LOGIN, '{"username":'))
step('a login that is a number', 400, () => json(LOGIN, '1'))
step('a login with an empty body', 400, () => json(LOGIN, ''))
step('a login as a form', 400, () => form(LOGIN, bob))
step('a login far too large', 413, () => json(LOGIN, { ...bob, padding: 'x'.repeat(70_000) }))
step('GET at the login endpoint', 405, () => ({ method: 'GET', target: LOGIN }))

// Pages with a cookie.

const post = (target: string, headers: Headers): WireRequest => ({ method: 'POST', target, headers })
const X_BATON: [string, string] = ['X-Baton', '1']
const SAME: [string, string] = ['Sec-Fetch-Site', 'same-origin']
const LATEST = 'a login that replaces another session'
const AUTH = '/auth/refresh'

step('a refresh by cookie', 200, ({ cookie }) => post(AUTH, [X_BATON, SAME, ['Cookie', cookie(LATEST)]]))
step('a refresh by cookie, with its origin', 200, ({ cookie }) =>
  post(AUTH, [X_BATON, OWN, ['Cookie', `theme=dark; ${cookie('a refresh by cookie')}; x=y`]]),
)
step('a refresh by cookie, from an origin that is allowed', 200, ({ cookie }) =>
  post(AUTH, [
    X_BATON,
    ['Sec-Fetch-Site', 'cross-site'],
    ['Origin', 'https://app.example'],
    ['Cookie', cookie('a refresh by cookie, with its origin')],
  ]),
)
step('a refresh by cookie, of the expected session', 200, ({ cookie, member }) =>
  post(AUTH, [
    X_BATON,
    SAME,
    ['X-Baton-Session', member('a refresh by cookie', 'sid')],
    ['Cookie', cookie('a refresh by cookie, from an origin that is allowed')],
  ]),
)
const CURRENT = 'a refresh by cookie, of the expected session'
step('a refresh by cookie, of another session than expected', 409, ({ cookie, member }) =>
  post(AUTH, [
    X_BATON,
    SAME,
    ['X-Baton-Session', member('a login on a second device', 'sid')],
    ['Cookie', cookie(CURRENT)],
  ]),
)
step('a refresh by cookie, of two sessions', 400, ({ cookie, member }) =>
  post(AUTH, [
    X_BATON,
    SAME,
    ['X-Baton-Session', member('a login on a second device', 'sid')],
    ['X-Baton-Session', member('a refresh by cookie', 'sid')],
    ['Cookie', cookie(CURRENT)],
  ]),
)
step('a refresh by cookie, with an unnecessary body', 200, ({ cookie }) =>
  raw(AUTH, 'grant_type=refresh_token&refresh_token=x', [X_BATON, SAME, ['Cookie', cookie(CURRENT)]]),
)
step('a refresh without the custom header', 403, ({ cookie }) => post(AUTH, [SAME, ['Cookie', cookie(CURRENT)]]))
step('a refresh with the custom header twice', 403, ({ cookie }) =>
  post(AUTH, [X_BATON, X_BATON, SAME, ['Cookie', cookie(CURRENT)]]),
)
step('a refresh from a page of another site', 403, ({ cookie }) =>
  post(AUTH, [X_BATON, ['Sec-Fetch-Site', 'cross-site'], ['Cookie', cookie(CURRENT)]]),
)
step('a refresh from the address bar', 403, ({ cookie }) =>
  post(AUTH, [X_BATON, ['Sec-Fetch-Site', 'none'], ['Cookie', cookie(CURRENT)]]),
)
step('a refresh from another origin', 403, ({ cookie }) =>
  post(AUTH, [X_BATON, ['Origin', 'http://localhost:3001'], ['Cookie', cookie(CURRENT)]]),
)
step('a refresh from two origins', 403, ({ cookie }) =>
  post(AUTH, [X_BATON, OWN, ['Origin', 'https://evil.example'], ['Cookie', cookie(CURRENT)]]),
)
step('a refresh without Origin and Sec-Fetch-Site', 403, ({ cookie }) =>
  post(AUTH, [X_BATON, ['Cookie', cookie(CURRENT)]]),
)
step('a refresh without a cookie', 401, () => post(AUTH, [X_BATON, SAME]))
step('a refresh with a cookie that middleware removes', 401, ({ cookie }) =>
  post(AUTH, [X_BATON, SAME, ['Cookie', cookie(CURRENT)], edit('cookie')]),
)
step('a refresh with a cookie that middleware sets', 200, ({ cookie }) =>
  post(AUTH, [X_BATON, SAME, edit(`cookie=${cookie(CURRENT)}`)]),
)
step('a refresh with a custom header that middleware removes', 403, ({ cookie }) =>
  post(AUTH, [X_BATON, SAME, ['Cookie', cookie(CURRENT)], edit('x-baton')]),
)
step('a refresh with the cookie of a revoked session', 401, ({ cookie }) =>
  post(AUTH, [X_BATON, SAME, ['Cookie', cookie('a login with a cookie')]]),
)
step('a refresh with two cookies of one name', 200, ({ cookie, issued }) =>
  post(AUTH, [X_BATON, SAME, ['Cookie', `${cookie(CURRENT)}; baton=${issued('planted')}`]]),
)
step('a refresh with two Cookie headers', 200, ({ cookie, issued }) =>
  post(AUTH, [X_BATON, SAME, ['Cookie', cookie(CURRENT)], ['Cookie', `baton=${issued('planted')}`]]),
)
step('GET at the cookie endpoint', 405, () => ({ method: 'GET', target: AUTH, headers: [X_BATON, SAME] }))
step('a failing store, for a refresh by cookie', 503, ({ cookie }) =>
  post('/broken/refresh', [X_BATON, SAME, ['Cookie', cookie(CURRENT)]]),
)

// The guard.

const reading = ({ member }: Memory) => bearer(member('a login with tokens in the body', 'access_token'))
const get = (target: string, headers: Headers = []): WireRequest => ({ method: 'GET', target, headers })
step('a guarded page', 200, (memory) => get('/api/me', reading(memory)))
step('a guarded page, with the scheme in small letters', 200, ({ member }) =>
  get('/api/me', [['Authorization', `bearer ${member('a login with tokens in the body', 'access_token')}`]]),
)
step('a guarded page of an active session', 200, (memory) => get('/api/live', reading(memory)))
step('a guarded page without a token', 401, () => get('/api/me'))
step('a guarded page with another scheme', 401, () => get('/api/me', [basic('backend', BACKEND_SECRET)]))
step('a guarded page with garbage', 401, () => get('/api/me', bearer('garbage')))
step('a guarded page with a token in the query', 401, ({ member }) =>
  get(`/api/me?access_token=${member('a login with tokens in the body', 'access_token')}`),
)
step('a guarded page with a token in two places', 400, (memory) => get('/api/me?access_token=x', reading(memory)))
step('a guarded page with two Authorization headers', 400, (memory) =>
  get('/api/me', [...reading(memory), ...reading(memory)]),
)
step('a guarded page that requires more scope', 403, (memory) => get('/api/admin', reading(memory)))
step('a guarded page with a token that middleware removes', 401, (memory) =>
  get('/api/me', [...reading(memory), edit('authorization')]),
)
step('a guarded page with a token that middleware sets', 200, ({ member }) =>
  get('/api/me', [edit(`authorization=Bearer ${member('a login with tokens in the body', 'access_token')}`)]),
)
step('a guarded page while the store fails', 503, (memory) => get('/broken/me', reading(memory)))

// Sessions.

const bobs = ({ member }: Memory) => bearer(member(CURRENT, 'access_token'))
const account = (method: string, path: string, headers: Headers = []): WireRequest => ({
  method,
  target: `/account${path}`,
  headers,
})
step('the list of sessions', 200, (memory) => account('GET', '/sessions', bobs(memory)))
step('the list of sessions, in pages', 200, (memory) => account('GET', '/sessions?limit=1', bobs(memory)))
step('the list of sessions, with an invalid limit', 400, (memory) =>
  account('GET', '/sessions?limit=many', bobs(memory)),
)
step('the list of sessions, with an invalid cursor', 400, (memory) =>
  account('GET', '/sessions?cursor=%00', bobs(memory)),
)
step('the list of sessions, without a token', 401, () => account('GET', '/sessions'))
step('the list of sessions, for garbage', 401, () => account('GET', '/sessions', bearer('garbage')))
for (const method of ['POST', 'HEAD', 'OPTIONS'])
  step(`${method} at the list of sessions`, 405, (memory) => account(method, '/sessions', bobs(memory)))
step('an unknown session is revoked', 404, (memory) => account('DELETE', '/sessions/unknown', bobs(memory)))
step('a session with a slash in its id is revoked', 404, (memory) => account('DELETE', '/sessions/a%2Fb', bobs(memory)))
step('a session of the user is revoked', 204, (memory) =>
  account('DELETE', `/sessions/${memory.member('a login on a second device', 'sid')}`, bobs(memory)),
)
step('a session of the user is revoked, with a body', 204, (memory) => ({
  ...json(`/account/sessions/${memory.member('a login on a second device', 'sid')}`, {}, bobs(memory)),
  method: 'DELETE',
}))
step('a path that is not served', 404, (memory) => account('GET', '/nonsense', bobs(memory)))
step('too many requests for the list of sessions', 429, (memory) => ({
  ...account('GET', '', bobs(memory)),
  target: '/limited/account/sessions',
}))
step('a failing store, for the list of sessions', 503, (memory) => ({
  ...account('GET', '', bobs(memory)),
  target: '/broken/account/sessions',
}))
step('all other sessions are revoked', 204, (memory) => account('POST', '/logout-others', bobs(memory)))
step('GET at the path that revokes all other sessions', 405, (memory) => account('GET', '/logout-others', bobs(memory)))

// Sign-out.

const LOGOUT = '/auth/logout'
step('a logout without the custom header', 403, ({ cookie }) => post(LOGOUT, [SAME, ['Cookie', cookie(CURRENT)]]))
step('a logout of another session than expected', 409, ({ cookie, member }) =>
  post(LOGOUT, [
    X_BATON,
    SAME,
    ['X-Baton-Session', member('a login on a second device', 'sid')],
    ['Cookie', cookie(CURRENT)],
  ]),
)
step('a failing store, for a logout', 503, ({ cookie }) =>
  post('/broken/logout', [X_BATON, SAME, ['Cookie', cookie(CURRENT)]]),
)
step('a logout', 204, ({ cookie }) => post(LOGOUT, [X_BATON, SAME, ['Cookie', cookie(CURRENT)]]))
step('a logout without a cookie', 204, () => post(LOGOUT, [X_BATON, SAME]))
step('GET at the logout endpoint', 405, () => get(LOGOUT))
step('a refresh after the logout is rejected', 401, ({ cookie }) =>
  post(AUTH, [X_BATON, SAME, ['Cookie', cookie(CURRENT)]]),
)
step('the list of sessions after the logout is rejected', 401, (memory) => account('GET', '/sessions', bobs(memory)))
step('all sessions are revoked, without a token', 401, () => account('POST', '/logout-everywhere'))
step('a last login', 200, () => json(LOGIN, { ...bob, deliver: 'body' }))
step('the list of sessions, for a client that is not first-party', 403, ({ member }) => ({
  ...account('GET', '', bearer(member('a last login', 'access_token'))),
  target: '/foreign/account/sessions',
}))
step('all sessions are revoked', 204, ({ member }) =>
  account('POST', '/logout-everywhere', bearer(member('a last login', 'access_token'))),
)

// Proofs of keys.

const proofOf = (jti: string, more: Partial<Parameters<typeof prove>[0]> = {}): [string, string] => [
  'DPoP',
  prove({ jti, htm: 'POST', path: TOKEN, ...more }),
]
const PROVEN = 'a proof binds the access token'
const proven = (memory: Memory) => memory.member(PROVEN, 'access_token')
const asProven = (memory: Memory, jti: string, path = '/api/me'): Headers => [
  ['Authorization', `DPoP ${proven(memory)}`],
  proofOf(jti, { htm: 'GET', path, accessToken: proven(memory) }),
]
step(PROVEN, 200, ({ issued }) => form(TOKEN, refresh(issued('proven')), [proofOf('one')]))
step('the same proof again', 400, ({ member }) =>
  form(TOKEN, refresh(member(PROVEN, 'refresh_token')), [proofOf('one')]),
)
step('two proofs', 400, ({ member }) =>
  form(TOKEN, refresh(member(PROVEN, 'refresh_token')), [proofOf('two'), proofOf('three')]),
)
step('two proofs in one header', 400, ({ member }) =>
  form(TOKEN, refresh(member(PROVEN, 'refresh_token')), [
    [
      'DPoP',
      `${prove({ jti: 'two', htm: 'POST', path: TOKEN })}, ${prove({ jti: 'three', htm: 'POST', path: TOKEN })}`,
    ],
  ]),
)
step('an empty proof', 400, ({ member }) => form(TOKEN, refresh(member(PROVEN, 'refresh_token')), [['DPoP', '']]))
step('a proof for another URL', 400, ({ member }) =>
  form(TOKEN, refresh(member(PROVEN, 'refresh_token')), [proofOf('four', { path: '/oauth/revoke' })]),
)
step('a proof without the required nonce', 400, ({ member }) =>
  form('/nonce/token', refresh(member(PROVEN, 'refresh_token')), [proofOf('five', { path: '/nonce/token' })]),
)
step('a proof with the required nonce', 200, ({ member, header }) =>
  form('/nonce/token', refresh(member(PROVEN, 'refresh_token')), [
    proofOf('six', {
      path: '/nonce/token',
      nonce: header('a proof without the required nonce', 'dpop-nonce'),
    }),
  ]),
)
step('a guarded page with a proof', 200, (memory) => get('/api/me', asProven(memory, 'seven')))
step('a guarded page with a bound token and no proof', 401, (memory) =>
  get('/api/me', [['Authorization', `DPoP ${proven(memory)}`]]),
)
step('a guarded page with a bound token as a bearer token', 401, (memory) => get('/api/me', bearer(proven(memory))))
step('a page that checks the session, with a proof', 200, (memory) =>
  get('/api/live', asProven(memory, 'eight', '/api/live')),
)
step('a page that checks the session, with the same proof', 401, (memory) =>
  get('/api/live', asProven(memory, 'eight', '/api/live')),
)
step('a page that requires a nonce', 401, (memory) => get('/api/nonce', asProven(memory, 'nine', '/api/nonce')))
step('a page that gets the required nonce', 200, (memory) => {
  const nonce = memory.header('a page that requires a nonce', 'dpop-nonce')
  const proof = proofOf('ten', { htm: 'GET', path: '/api/nonce', accessToken: proven(memory), nonce })
  return get('/api/nonce', [['Authorization', `DPoP ${proven(memory)}`], proof])
})

// Introspection.

const INTROSPECT = '/oauth/introspect'
const asApi: Headers = [basic('api', BACKEND_SECRET)]
step('introspection of an access token', 200, (memory) => form(INTROSPECT, { token: proven(memory) }, asApi))
step('introspection by another client', 200, (memory) =>
  form(INTROSPECT, { token: proven(memory) }, [basic('backend', BACKEND_SECRET)]),
)
step('introspection of garbage', 200, () => form(INTROSPECT, { token: 'garbage' }, asApi))
step('introspection without a token', 400, () => form(INTROSPECT, {}, asApi))
step('introspection without a client', 401, () => form(INTROSPECT, { token: 'garbage' }))
step('introspection with a wrong secret', 401, () => form(INTROSPECT, { token: 'x' }, [basic('api', 'wrong')]))
step('GET at the introspection endpoint', 405, () => get(INTROSPECT, asApi))
step('a failing store, for introspection', 503, (memory) =>
  form('/broken/introspect', { token: proven(memory) }, asApi),
)
step('the keys of access tokens', 200, () => get('/.well-known/jwks.json'))
step('the keys of access tokens, to HEAD', 200, () => ({ method: 'HEAD', target: '/.well-known/jwks.json' }))
const optionsRequest = (target: string, headers: Headers = []): WireRequest => ({ method: 'OPTIONS', target, headers })
const PREFLIGHT: Headers = [
  ['Origin', 'https://anywhere.example'],
  ['Access-Control-Request-Method', 'GET'],
  ['Access-Control-Request-Headers', 'mcp-protocol-version'],
]
step('a preflight from any origin for the keys', 204, () => optionsRequest('/.well-known/jwks.json', PREFLIGHT))
step('OPTIONS at the keys of access tokens', 204, () => optionsRequest('/.well-known/jwks.json'))
step('POST at the keys of access tokens', 405, () => form('/.well-known/jwks.json', {}))

// All endpoints over one set of options.

step('the metadata', 200, () => get('/.well-known/oauth-authorization-server/whole'))
step('a preflight from any origin for the metadata', 204, () =>
  optionsRequest('/.well-known/oauth-authorization-server/whole', PREFLIGHT),
)
step('POST at the metadata', 405, () => form('/.well-known/oauth-authorization-server/whole', {}))
step('a refresh below the base path', 200, ({ issued }) => form('/whole/token', refresh(issued('whole'))))
const asService = (jti: string, aud = ISSUER): Fields => ({
  client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
  client_assertion: assertionBy({ aud, jti, now: NOW }),
})
step('a client that authenticates with an assertion', 200, () =>
  form('/whole/introspect', { token: 'x', ...asService('one') }),
)
step('an assertion that has been used', 400, () => form('/whole/introspect', { token: 'x', ...asService('one') }))
step('an assertion for another server', 400, () =>
  form('/whole/introspect', { token: 'x', ...asService('two', 'https://other.example') }),
)
step('an assertion and a secret', 400, () =>
  form('/whole/introspect', { token: 'x', ...asService('three'), client_secret: BACKEND_SECRET }),
)
step('introspection below the base path', 200, ({ member }) =>
  form('/whole/introspect', { token: member('a refresh below the base path', 'access_token') }, asApi),
)
step('a revocation below the base path', 200, ({ member }) =>
  form('/whole/revoke', { client_id: 'web', token: member('a refresh below the base path', 'refresh_token') }),
)
step('a login below the base path', 200, () => json('/whole/login', { ...bob, deliver: 'body' }))
step('the list of sessions below the base path', 200, ({ member }) =>
  get('/whole/sessions', bearer(member('a login below the base path', 'access_token'))),
)
step('the revocation of an unknown session below the base path', 404, ({ member }) => ({
  ...get('/whole/sessions/AAAAAAAAAAAAAAAAAAAAAA', bearer(member('a login below the base path', 'access_token'))),
  method: 'DELETE',
}))
step('a refresh by cookie below the base path', 401, () => post('/whole/refresh', [X_BATON, SAME]))
step('a logout below the base path', 204, () => post('/whole/logout', [X_BATON, SAME]))

// One trailing slash is the same path.

step('a refresh with a trailing slash', 400, () => form('/whole/token/', refresh('garbage')))
step('a revocation with a trailing slash', 200, () => form('/whole/revoke/', { token: 'garbage', client_id: 'web' }))
step('introspection with a trailing slash', 200, () => form('/whole/introspect/?x=1', { token: 'garbage' }, asApi))
step('a login with a trailing slash', 401, () => json('/whole/login/', { ...bob, password: 'wrong' }))
step('a refresh by cookie with a trailing slash', 401, () => post('/whole/refresh/', [X_BATON, SAME]))
step('a logout with a trailing slash', 204, () => post('/whole/logout/', [X_BATON, SAME]))
step('the metadata with a trailing slash', 200, () => get('/.well-known/oauth-authorization-server/whole/'))
step('the list of sessions with a trailing slash', 200, ({ member }) =>
  get('/whole/sessions/', bearer(member('a login below the base path', 'access_token'))),
)
step('the revocation of an unknown session with a trailing slash', 404, ({ member }) => ({
  ...get('/whole/sessions/AAAAAAAAAAAAAAAAAAAAAA/', bearer(member('a login below the base path', 'access_token'))),
  method: 'DELETE',
}))
step('the revocation of all sessions with a trailing slash', 204, ({ member }) => ({
  ...get('/whole/logout-everywhere/', bearer(member('a login below the base path', 'access_token'))),
  method: 'POST',
}))

step('a whole URL in the request line', 400, () => form('http://localhost:3000/whole/token', refresh('garbage')))

// Pages of other origins.

const SPA: [string, string] = ['Origin', 'https://spa.example']
const FOREIGN: [string, string] = ['Origin', 'https://evil.example']
const preflight = (target: string, origin: [string, string]): WireRequest => ({
  method: 'OPTIONS',
  target,
  headers: [origin, ['Access-Control-Request-Method', 'POST'], ['Access-Control-Request-Headers', 'dpop']],
})
step('a preflight from an allowed origin', 204, () => preflight('/whole/token', SPA))
step('a preflight from another origin', 405, () => preflight('/whole/token', FOREIGN))
step('a refresh from an allowed origin', 200, ({ issued }) => form('/whole/token', refresh(issued('of a page')), [SPA]))
step('an error for an allowed origin', 400, () => form('/whole/token', refresh('garbage'), [SPA]))
step('an error for another origin', 400, () => form('/whole/token', refresh('garbage'), [FOREIGN]))
step('a preflight for the cookie endpoint', 405, () => preflight('/whole/refresh', SPA))

// An endpoint of the app.

step('repeated headers in the request and the response', 207, () =>
  get('/mirror/a%2Fb/../c//?q=%zz&q=1', [
    ['X-Tag', 'one'],
    ['X-Tag', 'two'],
  ]),
)
step('a response without a body', 207, () => post('/mirror/x', []))
step('a response without a body, to HEAD', 207, () => ({ method: 'HEAD', target: '/mirror/x' }))

/** All steps. The order matters: later requests use earlier responses. */
export const script: readonly Step[] = steps
