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

const env = readEnvironment()
const { origin, secrets, signingSecrets, codeSecrets, policy } = env

const tokens = createRefreshTokens({ store: memoryStore(), secrets, policy, onEvent: report })
const accessTokens = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: signingSecrets.map((secret) => deriveSigningKey(secret)),
  lifetimeSeconds: env.accessSeconds,
})
const codes = authorizationCodes(tokens, { issuer: origin, secrets: codeSecrets })
const options = authOptions(env)
const auth = authServer(tokens, { ...options, accessTokens, codes })
const authorize = authorizePage({ ...options, codes })
const guard = webGuard(accessTokenGuard({ accessTokens }))

async function me(request: Request): Promise<Response> {
  const verdict = await guard(request)
  if (!verdict.ok) return verdict.response
  return Response.json({ sub: verdict.claims.sub }, { headers: verdict.headers })
}

/** The whole server, in the form for Bun, Deno and Workers. A Request has no sender address, which rate limits need. */
function answer(request: Request, remoteAddress: () => string | null): Promise<Response> {
  const path = new URL(request.url).pathname.replace(/\/$/, '')
  const by = (endpoint: Endpoint) => toWebHandler(endpoint, { remoteAddress })(request)
  if (path === '/api/me' && request.method === 'GET') return me(request)
  if (path === '/oauth/authorize') return by(authorize)
  return by(auth.endpoint)
}

const listener = getRequestListener((request, { incoming }) =>
  answer(request, () => incoming.socket.remoteAddress ?? null),
)
serve(listener, { env, tokens })
