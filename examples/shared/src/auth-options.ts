import type { AuthServerOptions } from '@baton/http'
import { authenticate } from './authenticate.js'
import { createClients } from './clients.js'
import type { Environment } from './environment.js'
import { SCOPES } from './scopes.js'

/** The options of all example servers, except for the tokens and codes. */
export function authOptions({ origin, rateLimit }: Environment) {
  return {
    issuer: origin,
    clients: createClients(origin),
    authenticate,
    accountName: ({ username }) => username,
    cookie: { clientId: 'web' },
    authorizationEndpoint: `${origin}/oauth/authorize`,
    scopes: SCOPES,
    basePath: '/oauth',
    paths: {
      login: '/login',
      refresh: '/auth/refresh',
      logout: '/auth/logout',
      account: '/auth',
      jwks: '/.well-known/jwks.json',
    },
    rateLimit,
  } satisfies Partial<AuthServerOptions>
}
