import { createRefreshTokens } from '@baton/core'
import {
  accessTokenGuard,
  authorizationCodes,
  deriveSigningKey,
  introspectionEndpoint,
  type Endpoint,
  jwtAccessTokens,
  loginEndpoint,
  logoutEndpoint,
  refreshEndpoint,
  revocationEndpoint,
  sessionsEndpoint,
  toWebHandler,
  webGuard,
} from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import { authenticate, authorizePage, clientsOf, readEnvironment, report, serve } from '@baton-examples/shared'
import { getRequestListener } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import { type Context, Hono } from 'hono'

const env = readEnvironment()
const { origin, secrets, codeSecrets, policy, rateLimit } = env

const tokens = createRefreshTokens({ store: memoryStore(), secrets, policy, onEvent: report })
const accessToken = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: secrets.map((secret) => deriveSigningKey(secret)),
  lifetimeSeconds: env.accessSeconds,
})
const codes = authorizationCodes(tokens, { secrets: codeSecrets })
const oauth = { clients: clientsOf(origin), issuer: origin, rateLimit }
const cookie = { clientId: 'web' }
const guard = webGuard(accessTokenGuard({ verify: accessToken }))

/** A Request does not know its sender, whom rate limits count; Hono does. */
const handler = (endpoint: Endpoint) => (c: Context) =>
  toWebHandler(endpoint, { remoteAddress: () => getConnInfo(c).remote.address ?? null })(c.req.raw)

const app = new Hono()
app.all('/login', handler(loginEndpoint(tokens, { accessToken, authenticate, cookie, rateLimit })))
app.all('/oauth/authorize', handler(authorizePage({ codes, ...oauth })))
app.all('/oauth/token', handler(refreshEndpoint(tokens, { accessToken, codes, ...oauth })))
app.all('/oauth/revoke', handler(revocationEndpoint(tokens, { accessToken, ...oauth })))
app.all('/oauth/introspect', handler(introspectionEndpoint(tokens, { accessToken, ...oauth })))
app.all('/auth/refresh', handler(refreshEndpoint(tokens, { accessToken, cookie, rateLimit })))
app.all('/auth/logout', handler(logoutEndpoint(tokens, { cookie, rateLimit })))
app.all('/auth/*', handler(sessionsEndpoint(tokens, { verify: accessToken, rateLimit })))
app.get('/api/me', async (c) => {
  const verdict = await guard(c.req.raw)
  return verdict.ok ? c.json({ sub: verdict.claims.sub }) : verdict.response
})
app.get('/.well-known/jwks.json', (c) => c.json(accessToken.jwks()))

serve(getRequestListener(app.fetch), { env, tokens })
