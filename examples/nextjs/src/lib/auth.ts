import { createRefreshTokens } from '@baton/core'
import { accessTokenGuard, authServer, deriveSigningKey, jwtAccessTokens, toWebHandler, webGuard } from '@baton/http'
import { sqliteStore } from '@baton/store-sqlite'
import Database from 'better-sqlite3'
import { subjectOf } from './people.ts'

function createAuth() {
  const { APP_ORIGIN: origin = 'http://127.0.0.1:3000', ACCESS_SECONDS = '900', DATABASE = 'sessions.db' } = process.env
  const tokens = createRefreshTokens({
    store: sqliteStore(new Database(DATABASE)),
    secrets: [process.env['BATON_SECRET']],
    onEvent: (event) => {
      if (event.type === 'reuse') console.warn(`reuse: a token of ${event.subject} was copied`)
    },
  })
  const accessTokens = jwtAccessTokens({
    issuer: origin,
    audience: origin,
    keys: [deriveSigningKey(process.env['SIGNING_SECRET'])],
    lifetimeSeconds: Number(ACCESS_SECONDS),
  })
  const server = authServer(tokens, {
    accessTokens,
    clients: [],
    cookie: true,
    authenticate: subjectOf,
    accountName: ({ username }) => username,
  })
  return {
    tokens,
    /** Handles all requests below `/auth`. */
    handle: toWebHandler(server.endpoint),
    /** Checks the access token of a request. */
    guard: webGuard(accessTokenGuard({ accessTokens })),
  }
}

type Auth = ReturnType<typeof createAuth>

// Each route is a separate bundle, and development reloads them. Shared state is a property of globalThis.
const shared = globalThis as typeof globalThis & { auth?: Auth }

/** Returns the same object for all routes. Created on the first call, because a build loads routes without secrets. */
export function auth(): Auth {
  return (shared.auth ??= createAuth())
}
