import { createRefreshTokens } from '@baton/core'
import { authHandler, handler, requireAccessToken } from '@baton/hono'
import { authorizationCodes, deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { sqliteStore } from '@baton/store-sqlite'
import { authOptions, authorizePage, databaseFile, readEnvironment, report, serve } from '@baton-examples/shared'
import { getRequestListener } from '@hono/node-server'
import Database from 'better-sqlite3'
import { Hono } from 'hono'

const env = readEnvironment()
const { origin, secrets, signingSecrets, codeSecrets, policy } = env

const db = new Database(databaseFile(new URL('../sessions.db', import.meta.url)))
const tokens = createRefreshTokens({ store: sqliteStore(db), secrets, policy, onEvent: report })
const accessTokens = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: signingSecrets.map((secret) => deriveSigningKey(secret)),
  lifetimeSeconds: env.accessSeconds,
})
const codes = authorizationCodes(tokens, { issuer: origin, secrets: codeSecrets })
const options = authOptions(env)

const app = new Hono({ strict: false })
app.use(authHandler(tokens, { ...options, accessTokens, codes }))
app.all('/oauth/authorize', handler(authorizePage({ ...options, codes })))
app.get('/api/me', requireAccessToken({ accessTokens }), (c) => c.json({ sub: c.var.auth.sub }))

serve(getRequestListener(app.fetch), { env, tokens, close: () => db.close() })
