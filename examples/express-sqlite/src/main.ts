import { createRefreshTokens } from '@baton/core'
import {
  handler,
  introspectionHandler,
  loginHandler,
  logoutHandler,
  refreshHandler,
  requireAccessToken,
  revocationHandler,
  sessionsHandler,
} from '@baton/express'
import { authorizationCodes, deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { sqliteStore } from '@baton/store-sqlite'
import {
  authenticate,
  authorizePage,
  clientsOf,
  databaseFile,
  readEnvironment,
  report,
  serve,
} from '@baton-examples/shared'
import Database from 'better-sqlite3'
import express from 'express'

const env = readEnvironment()
const { origin, secrets, codeSecrets, policy, rateLimit } = env

const db = new Database(databaseFile(new URL('../sessions.db', import.meta.url)))
const tokens = createRefreshTokens({ store: sqliteStore(db), secrets, policy, onEvent: report })
const accessToken = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: secrets.map((secret) => deriveSigningKey(secret)),
  lifetimeSeconds: env.accessSeconds,
})
const codes = authorizationCodes(tokens, { secrets: codeSecrets })
const oauth = { clients: clientsOf(origin), issuer: origin, rateLimit }
const cookie = { clientId: 'web' }

const app = express()
app.all('/login', loginHandler(tokens, { accessToken, authenticate, cookie, rateLimit }))
app.all('/oauth/authorize', handler(authorizePage({ codes, ...oauth })))
app.all('/oauth/token', refreshHandler(tokens, { accessToken, codes, ...oauth }))
app.all('/oauth/revoke', revocationHandler(tokens, { accessToken, ...oauth }))
app.all('/oauth/introspect', introspectionHandler(tokens, { accessToken, ...oauth }))
app.all('/auth/refresh', refreshHandler(tokens, { accessToken, cookie, rateLimit }))
app.all('/auth/logout', logoutHandler(tokens, { cookie, rateLimit }))
app.use('/auth', sessionsHandler(tokens, { verify: accessToken, rateLimit }))
app.get('/api/me', requireAccessToken({ verify: accessToken }), (req, res) => void res.json({ sub: req.auth?.sub }))
app.get('/.well-known/jwks.json', (_req, res) => void res.json(accessToken.jwks()))

serve(app, { env, tokens, close: () => db.close() })
