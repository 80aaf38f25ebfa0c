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
} from '@baton/fastify'
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
import Fastify from 'fastify'

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

const app = Fastify()
app.register(loginHandler(tokens, { accessToken, authenticate, cookie, rateLimit }), { prefix: '/login' })
app.register(handler(authorizePage({ codes, ...oauth })), { prefix: '/oauth/authorize' })
app.register(refreshHandler(tokens, { accessToken, codes, ...oauth }), { prefix: '/oauth/token' })
app.register(revocationHandler(tokens, { accessToken, ...oauth }), { prefix: '/oauth/revoke' })
app.register(introspectionHandler(tokens, { accessToken, ...oauth }), { prefix: '/oauth/introspect' })
app.register(refreshHandler(tokens, { accessToken, cookie, rateLimit }), { prefix: '/auth/refresh' })
app.register(logoutHandler(tokens, { cookie, rateLimit }), { prefix: '/auth/logout' })
app.register(sessionsHandler(tokens, { verify: accessToken, rateLimit }), { prefix: '/auth' })
app.get('/api/me', { onRequest: requireAccessToken({ verify: accessToken }) }, (request) => ({
  sub: request.auth?.sub,
}))
app.get('/.well-known/jwks.json', () => accessToken.jwks())

await app.ready()
serve((request, response) => app.routing(request, response), { env, tokens, close: () => db.close() })
