import { ConfigurationError } from '@baton/core'
import { describe, expect, it } from 'vitest'
import { accessTokenGuard, guardOptions } from '../../src/access-tokens/guard.js'
import { jwtAccessTokens, jwtOptions } from '../../src/access-tokens/jwt.js'
import { sealedAccessTokens, sealedOptions } from '../../src/access-tokens/sealed.js'
import { generateSigningKey } from '../../src/access-tokens/signing-keys.js'
import { authorizationCodes, codesOptions } from '../../src/codes/authorization-codes.js'
import { authServer, authServerOptions } from '../../src/auth-server/auth-server.js'
import { corsOptions, withCors } from '../../src/pipeline/cors.js'
import { requestCounter, requestCounterOptions } from '../../src/pipeline/define-endpoint.js'
import { refreshEndpoint, refreshOptions } from '../../src/endpoints/refresh.js'
import { introspectionEndpoint, introspectionOptions } from '../../src/endpoints/introspection.js'
import { loginEndpoint, loginOptions } from '../../src/endpoints/login.js'
import { logoutEndpoint, logoutOptions } from '../../src/endpoints/logout.js'
import { revocationEndpoint, revocationOptions } from '../../src/endpoints/revocation.js'
import { sessionsEndpoint, sessionsOptions } from '../../src/endpoints/sessions.js'
import { tokenEndpoint, tokenOptions } from '../../src/endpoints/token.js'
import { transportOptions } from '../../src/pipeline/options.js'
import { csrfGuard } from '../../src/pipeline/csrf-guard.js'
import { rateLimits, rateLimitsOptions } from '../../src/rate-limits/rate-limits.js'
import { AS, CLIENTS, CODE_SECRET, readableAccessTokens, createSetup } from '../setup.js'

const { tokens } = createSetup()
const accessTokens = readableAccessTokens()
const authenticate = async () => null
const SIGNING_KEY = generateSigningKey()

interface PublicFunction {
  readonly declared: { describe(): readonly { readonly name: string; readonly isRequired: boolean }[] }
  readonly valid: object
  readonly call: (options: never) => unknown
}

const FUNCTIONS: Readonly<Record<string, PublicFunction>> = {
  authServer: {
    declared: authServerOptions,
    valid: { accessTokens },
    call: (options) => authServer(tokens, options),
  },
  tokenEndpoint: {
    declared: tokenOptions,
    valid: { accessTokens, clients: CLIENTS },
    call: (options) => tokenEndpoint(tokens, options),
  },
  refreshEndpoint: {
    declared: refreshOptions,
    valid: { accessTokens },
    call: (options) => refreshEndpoint(tokens, options),
  },
  revocationEndpoint: {
    declared: revocationOptions,
    valid: { clients: CLIENTS },
    call: (options) => revocationEndpoint(tokens, options),
  },
  introspectionEndpoint: {
    declared: introspectionOptions,
    valid: { clients: CLIENTS },
    call: (options) => introspectionEndpoint(tokens, options),
  },
  loginEndpoint: {
    declared: loginOptions,
    valid: { accessTokens, authenticate },
    call: (options) => loginEndpoint(tokens, options),
  },
  logoutEndpoint: {
    declared: logoutOptions,
    valid: { cookie: true },
    call: (options) => logoutEndpoint(tokens, options),
  },
  sessionsEndpoint: {
    declared: sessionsOptions,
    valid: { accessTokens: authenticate },
    call: (options) => sessionsEndpoint(tokens, options),
  },
  jwtAccessTokens: {
    declared: jwtOptions,
    valid: { issuer: AS, audience: AS, keys: [SIGNING_KEY] },
    call: (options) => jwtAccessTokens(options),
  },
  sealedAccessTokens: {
    declared: sealedOptions,
    valid: { issuer: AS, audience: AS, secrets: [CODE_SECRET] },
    call: (options) => sealedAccessTokens(options),
  },
  accessTokenGuard: {
    declared: guardOptions,
    valid: { accessTokens: authenticate, checkSession: tokens },
    call: (options) => accessTokenGuard(options),
  },
  authorizationCodes: {
    declared: codesOptions,
    valid: { issuer: AS, secrets: [CODE_SECRET] },
    call: (options) => authorizationCodes(tokens, options),
  },
  rateLimits: { declared: rateLimitsOptions, valid: {}, call: (options) => rateLimits(options) },
  requestCounter: {
    declared: requestCounterOptions,
    valid: {},
    call: (options) => requestCounter(tokens, options),
  },
  csrfGuard: { declared: transportOptions, valid: {}, call: (options) => csrfGuard(options) },
  withCors: {
    declared: corsOptions,
    valid: { origins: [] },
    call: (options) => withCors(async () => ({ status: 200, headers: [], body: null }), options),
  },
}

function errorOf(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}

describe.each(Object.entries(FUNCTIONS))('%s', (_name, { declared, valid, call }) => {
  const callWith = (changes: object) => () => call({ ...valid, ...changes } as never)
  const rows = declared.describe()

  it('accepts its required options, and treats undefined options as missing', () => {
    const missing = Object.fromEntries(rows.map(({ name }) => [name, undefined]))
    expect(errorOf(callWith({}))).toBeUndefined()
    expect(errorOf(() => call({ ...missing, ...valid } as never))).toBeUndefined()
  })

  it.each(rows)('rejects a misspelt $name and names the similar option', ({ name }) => {
    const misspelt = `${name}x`
    const error = errorOf(callWith({ [misspelt]: 1 }))
    expect(error).toBeInstanceOf(ConfigurationError)
    expect(error).toMatchObject({ option: misspelt, message: expect.stringContaining(`did you mean "${name}"?`) })
  })

  it.each(rows)('rejects a value of another type for $name and states the rule', ({ name }) => {
    const error = errorOf(callWith({ [name]: Symbol('other') }))
    expect(error).toBeInstanceOf(ConfigurationError)
    expect(error).toMatchObject({
      option: name,
      message: expect.stringMatching(/^option ".*" must be .*, got a symbol/),
    })
  })

  it.each(rows.filter(({ isRequired }) => isRequired))('rejects a missing $name', ({ name }) => {
    const error = errorOf(callWith({ [name]: undefined }))
    expect(error).toBeInstanceOf(ConfigurationError)
    expect(error).toMatchObject({ option: name })
  })
})
