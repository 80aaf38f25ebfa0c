import { createRefreshTokens } from '@baton/core'
import {
  accessTokenGuard,
  authServer,
  authorizationCodes,
  deriveSigningKey,
  type Endpoint,
  jwtAccessTokens,
  toWebHandler,
  webGuard,
} from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import { authOptions, authorizePage, readEnvironment, report, serve } from '@baton-examples/shared'
import { getRequestListener } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import { type Context, Hono } from 'hono'

const env = readEnvironment()
const { origin, secrets, codeSecrets, policy } = env

const tokens = createRefreshTokens({ store: memoryStore(), secrets, policy, onEvent: report })
const accessToken = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: secrets.map((secret) => deriveSigningKey(secret)),
  lifetimeSeconds: env.accessSeconds,
})
const codes = authorizationCodes(tokens, { secrets: codeSecrets })
const options = authOptions(env)
const server = authServer(tokens, { ...options, accessToken, codes })
const guard = webGuard(accessTokenGuard({ verify: accessToken }))

/** A Request does not know its sender, whom rate limits count; Hono does. */
const handler = (endpoint: Endpoint) => (c: Context) =>
  toWebHandler(endpoint, { remoteAddress: () => getConnInfo(c).remote.address ?? null })(c.req.raw)

const app = new Hono()
for (const { endpoint, paths } of server.routes) {
  for (const path of paths) app.all(path, handler(endpoint))
}
app.all('/oauth/authorize', handler(authorizePage({ ...options, codes })))
app.get('/api/me', async (c) => {
  const verdict = await guard(c.req.raw)
  return verdict.ok ? c.json({ sub: verdict.claims.sub }) : verdict.response
})

serve(getRequestListener(app.fetch), { env, tokens })
