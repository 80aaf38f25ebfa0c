import axios from 'axios'
import { describe, expect, test } from 'vitest'
import { beginAuthorization, loginWithCode } from '../src/authorization.js'
import { attachSession } from '../src/axios.js'
import { cookieEndpoints } from '../src/cookie.js'
import { crossTabSync } from '../src/cross-tab.js'
import { discover } from '../src/discovery.js'
import { dpop } from '../src/dpop.js'
import { sessionFile } from '../src/file.js'
import { ConfigurationError, createEnvironment, createSession, memoryStorage } from '../src/index.js'
import { indexedDbStorage } from '../src/indexed-db.js'
import { withSession } from '../src/ky.js'
import { logoutEverywhere } from '../src/logout-everywhere.js'
import { oauthEndpoints } from '../src/oauth.js'
import { useSession } from '../src/react.js'
import { webStorage } from '../src/web-storage.js'

/** Values of every type; those that an option accepts are left out by `accepts`. */
const VALUES = { string: 'x', number: 5, boolean: true, function: () => 'x', object: {}, null: null, empty: '' }
type Type = keyof typeof VALUES

interface Case {
  /** Calls the function without checks of its types. */
  readonly call: (options: Readonly<Record<string, unknown>>) => unknown
  readonly valid: Readonly<Record<string, unknown>>
  readonly required?: readonly string[]
  /** Options and the types of values that are accepted for them. */
  readonly accepts: Readonly<Record<string, readonly Type[]>>
  /** True if the function takes named arguments, so that no option can be misspelt. */
  readonly isPositional?: boolean
}

/** The compiler has nothing to say about these calls. */
function unchecked(call: unknown): (...values: readonly unknown[]) => unknown {
  if (typeof call !== 'function') throw new Error('not a function')
  return (...values) => Reflect.apply(call, undefined, values) as unknown
}

const oauth = { tokenEndpoint: 'https://login.example/token', clientId: 'web' }
const session = createSession({ endpoints: oauthEndpoints(oauth) })
/** A method of the session, without checks of its types. */
const ofSession = (name: 'fetch' | 'getAccessToken' | 'loginWithGrant' | 'on') => unchecked(Reflect.get(session, name))
const pending = { state: 's', codeVerifier: 'v', redirectUri: 'https://app.example/callback' }

const cases: Readonly<Record<string, Case>> = {
  createSession: {
    call: unchecked(createSession),
    valid: {
      endpoints: oauthEndpoints(oauth),
      storage: memoryStorage(),
      allowedOrigins: ['https://api.example'],
      lockTimeoutSeconds: 1,
      requestTimeoutSeconds: 1,
      environment: createEnvironment(),
    },
    required: ['endpoints'],
    accepts: {
      endpoints: [],
      storage: [],
      allowedOrigins: [],
      dpop: [],
      lockTimeoutSeconds: ['number'],
      requestTimeoutSeconds: ['number'],
      environment: [],
    },
  },
  'session.fetch': {
    call: (options) => ofSession('fetch')('https://elsewhere.invalid/', { signal: AbortSignal.abort() }, options),
    valid: { replay: true },
    accepts: { replay: ['boolean'] },
  },
  'session.getAccessToken': {
    call: ofSession('getAccessToken'),
    valid: { signal: new AbortController().signal },
    accepts: { signal: ['object'] },
  },
  'session.loginWithGrant': {
    call: ({ parameters, idempotencyKey }) => ofSession('loginWithGrant')(parameters, idempotencyKey),
    valid: { parameters: { grant_type: 'password' }, idempotencyKey: 'key' },
    required: ['parameters'],
    accepts: { parameters: ['object'], idempotencyKey: ['string'] },
    isPositional: true,
  },
  'session.on': {
    call: ({ type, listener }) => ofSession('on')(type, listener),
    valid: { type: 'synced', listener: () => undefined },
    required: ['type', 'listener'],
    accepts: { type: [], listener: ['function'] },
    isPositional: true,
  },
  oauthEndpoints: {
    call: unchecked(oauthEndpoints),
    valid: {
      ...oauth,
      clientSecret: 'secret',
      revocationEndpoint: new URL('https://login.example/revoke'),
      idempotencyKey: true,
      errorCode: () => undefined,
      issuer: 'https://login.example',
      authorizationEndpoint: 'https://login.example/authorize',
      authorizationResponseIssParameterSupported: true,
    },
    required: ['tokenEndpoint', 'clientId'],
    accepts: {
      tokenEndpoint: [],
      clientId: ['string'],
      clientSecret: ['string'],
      revocationEndpoint: [],
      idempotencyKey: ['boolean'],
      errorCode: ['function'],
    },
  },
  cookieEndpoints: {
    call: unchecked(cookieEndpoints),
    valid: { refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout', shareAccessToken: true },
    required: ['refreshEndpoint', 'logoutEndpoint'],
    accepts: { refreshEndpoint: ['string'], logoutEndpoint: ['string'], shareAccessToken: ['boolean'] },
  },
  beginAuthorization: {
    call: unchecked(beginAuthorization),
    valid: {
      authorizationEndpoint: 'https://login.example/authorize',
      clientId: 'web',
      redirectUri: pending.redirectUri,
      issuer: 'https://login.example',
      authorizationResponseIssParameterSupported: true,
      scope: 'read',
      parameters: { prompt: 'login' },
      tokenEndpoint: 'https://login.example/token',
      revocationEndpoint: 'https://login.example/revoke',
      idempotencyKey: true,
    },
    required: ['authorizationEndpoint', 'clientId', 'redirectUri'],
    accepts: {
      authorizationEndpoint: [],
      clientId: ['string'],
      redirectUri: ['string'],
      scope: ['string'],
      parameters: ['object'],
      issuer: ['string'],
      environment: [],
    },
  },
  loginWithCode: {
    call: (callback) => unchecked(loginWithCode)({ loginWithGrant: async () => undefined }, callback),
    valid: { url: 'https://app.example/callback?state=s&code=c', pending, save: () => undefined },
    required: ['url', 'pending'],
    accepts: { url: [], pending: ['object'], save: ['function'], environment: [] },
  },
  'pending of loginWithCode': {
    call: (given) =>
      unchecked(loginWithCode)(
        { loginWithGrant: async () => undefined },
        { url: 'https://app.example/callback?state=s&code=c', pending: given },
      ),
    valid: pending,
    required: ['state', 'codeVerifier', 'redirectUri'],
    accepts: { state: ['string'], codeVerifier: ['string'], redirectUri: ['string'] },
    isPositional: true,
  },
  discover: {
    call: (options) => unchecked(discover)('https://login.example', options),
    valid: { environment: { fetch: async () => Response.json({}) } },
    accepts: { environment: [] },
  },
  'issuer of discover': {
    call: ({ issuer }) => unchecked(discover)(issuer, { environment: { fetch: async () => Response.json({}) } }),
    valid: { issuer: 'https://login.example' },
    required: ['issuer'],
    accepts: { issuer: [] },
    isPositional: true,
  },
  dpop: {
    call: unchecked(dpop),
    valid: { name: 'key', environment: createEnvironment() },
    accepts: { keyPair: [], name: ['string'], environment: [] },
  },
  indexedDbStorage: { call: unchecked(indexedDbStorage), valid: { key: 'k' }, accepts: { key: ['string'] } },
  webStorage: {
    call: unchecked(webStorage),
    valid: { key: 'k', area: 'session' },
    accepts: { key: ['string'], area: [] },
  },
  sessionFile: {
    call: (options) => unchecked(sessionFile)('session.json', options),
    valid: { staleSeconds: 0.5 },
    accepts: { staleSeconds: ['number'] },
  },
  'path of sessionFile': {
    call: ({ path }) => unchecked(sessionFile)(path),
    valid: { path: 'session.json' },
    required: ['path'],
    accepts: { path: ['string'] },
    isPositional: true,
  },
  crossTabSync: {
    call: ({ name }) => unchecked(crossTabSync)(name),
    valid: { name: 'key' },
    required: ['name'],
    accepts: { name: ['string'] },
    isPositional: true,
  },
  attachSession: {
    call: (values) => unchecked(attachSession)(values['axios'], values['session']),
    valid: { axios: axios.create(), session },
    required: ['axios', 'session'],
    accepts: { axios: ['function'], session: [] },
    isPositional: true,
  },
  withSession: {
    call: (values) => unchecked(withSession)(values['session']),
    valid: { session },
    required: ['session'],
    accepts: { session: [] },
    isPositional: true,
  },
  useSession: {
    // Outside of a component React rejects what the options allow.
    call: (values) => unchecked(useSession)(values['session']),
    valid: { session },
    required: ['session'],
    accepts: { session: [] },
    isPositional: true,
  },
  logoutEverywhere: {
    call: (values) => unchecked(logoutEverywhere)(values['session'], values['endpoint']),
    valid: {
      session: { fetch: async () => new Response(), logout: async () => ({ revoked: true }) },
      endpoint: '/all',
    },
    required: ['session', 'endpoint'],
    accepts: { session: [], endpoint: ['string'] },
    isPositional: true,
  },
}

/** Returns the error of a call that throws or rejects, and undefined if it does neither. Errors of the network do not count. */
async function errorOf(
  { call }: Case,
  options: Readonly<Record<string, unknown>>,
): Promise<ConfigurationError | undefined> {
  try {
    await call(options)
  } catch (error) {
    if (error instanceof ConfigurationError) return error
  }
  return undefined
}

/** One option changes, the others are valid. */
const changed = Object.entries(cases).flatMap(([name, one]) =>
  Object.entries(one.accepts).flatMap(([option, accepted]) =>
    Object.keys(VALUES)
      .filter((type): type is Type => type in VALUES && !accepted.some((each) => each === type))
      // Each value has a type that the option does not accept.
      .map((type) => ({ name, one, option, type })),
  ),
)

describe('options of the client', () => {
  test.each(Object.entries(cases))('%s accepts valid options', async (_name, one) => {
    expect(await errorOf(one, one.valid)).toBeUndefined()
  })

  test.each(Object.entries(cases).filter(([, { isPositional }]) => !isPositional))(
    '%s rejects an unknown option and lists the known ones',
    async (_name, one) => {
      const error = await errorOf(one, { ...one.valid, tpyo: 1 })
      expect(error?.option).toBe('tpyo')
      expect(error?.message).toMatch(/^option "tpyo" must /)
      for (const option of Object.keys(one.accepts)) expect(error?.message).toContain(option)
    },
  )

  test.each(
    Object.entries(cases).flatMap(([name, one]) => (one.required ?? []).map((option) => ({ name, one, option }))),
  )('$name rejects options without $option', async ({ one, option }) => {
    const error = await errorOf(one, { ...one.valid, [option]: undefined })
    expect(error?.option).toBe(option)
    expect(error?.message).toMatch(/^option "\w+" must .*undefined/)
  })

  test.each(changed)('$name rejects $type as $option', async ({ one, option, type }) => {
    const error = await errorOf(one, { ...one.valid, [option]: VALUES[type] })
    expect(error?.option).toBe(option)
    expect(error?.message).toMatch(/^option "\w+" must /)
  })

  test.each([undefined, null, 'x', 5])('createSession rejects %s in place of its options', (options) => {
    expect(() => unchecked(createSession)(options)).toThrow(ConfigurationError)
  })

  test('messages do not repeat the value of a secret', () => {
    const secret = { toString: () => 'hunter2' }
    for (const clientSecret of [secret, ['hunter2']])
      expect(() => unchecked(oauthEndpoints)({ ...oauth, clientSecret })).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('hunter2') as string }),
      )
  })
})
