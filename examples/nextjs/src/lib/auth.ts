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
      if (event.type === 'reuse') console.warn(`reuse: a token of ${event.subject} is in two hands`)
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
    /** Answers everything below `/auth`. */
    handle: toWebHandler(server.endpoint),
    /** Judges a request by its access token. */
    guard: webGuard(accessTokenGuard({ accessTokens })),
  }
}

type Auth = ReturnType<typeof createAuth>

// Each route is a bundle of its own, and development loads them again and again: what they share hangs on the process.
const shared = globalThis as typeof globalThis & { auth?: Auth }

/** The same for all routes. Made when it is first asked for, since a build loads routes as well and has no secrets. */
export function auth(): Auth {
  return (shared.auth ??= createAuth())
}
