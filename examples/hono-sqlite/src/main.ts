import { createRefreshTokens } from '@baton/core'
import {
  accessTokenGuard,
  authServer,
  authorizationCodes,
  deriveSigningKey,
  type Endpoint,
  jwtAccessTokens,
  toWebHandler,
} from '@baton/http'
import { sqliteStore } from '@baton/store-sqlite'
import { authOptions, authorizePage, databaseFile, readEnvironment, report, serve } from '@baton-examples/shared'
import { getRequestListener } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import Database from 'better-sqlite3'
import { type Context, Hono } from 'hono'
import { requireAccessToken } from './require-access-token.js'

const env = readEnvironment()
const { origin, secrets, signingSecrets, codeSecrets, policy } = env

const db = new Database(databaseFile(new URL('../sessions.db', import.meta.url)))
const tokens = createRefreshTokens({ store: sqliteStore(db), secrets, policy, onEvent: report })
const accessToken = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: signingSecrets.map((secret) => deriveSigningKey(secret)),
  lifetimeSeconds: env.accessSeconds,
})
const codes = authorizationCodes(tokens, { issuer: origin, secrets: codeSecrets })
const options = authOptions(env)

/** A Request does not know its sender, whom rate limits count; Hono does. */
const handler = (endpoint: Endpoint) => (c: Context) =>
  toWebHandler(endpoint, { remoteAddress: () => getConnInfo(c).remote.address ?? null })(c.req.raw)

const app = new Hono({ strict: false })
for (const { endpoint, paths } of authServer(tokens, { ...options, accessToken, codes }).routes)
  app.on('ALL', [...paths], handler(endpoint))
app.all('/oauth/authorize', handler(authorizePage({ ...options, codes })))
app.get('/api/me', requireAccessToken(accessTokenGuard({ verify: accessToken })), (c) =>
  c.json({ sub: c.var.claims.sub }),
)

serve(getRequestListener(app.fetch), { env, tokens, close: () => db.close() })
