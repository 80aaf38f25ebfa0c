import { createRefreshTokens } from '@baton/core'
import { authPlugin, endpointPlugin, requireAccessToken } from '@baton/fastify'
import { authorizationCodes, deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { postgresStore } from '@baton/store-postgres'
import {
  authOptions,
  authorizePage,
  postgresUrl,
  connectOrExit,
  readEnvironment,
  report,
  serve,
} from '@baton-examples/shared'
import Fastify from 'fastify'
import { Pool } from 'pg'

const env = readEnvironment()
const { origin, secrets, signingSecrets, codeSecrets, policy } = env

const pool = new Pool({ connectionString: postgresUrl(), connectionTimeoutMillis: 3000 })
const store = postgresStore(pool)
await connectOrExit('DATABASE_URL', pool, () => store.migrate())

const tokens = createRefreshTokens({ store, secrets, policy, onEvent: report })
const accessTokens = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: signingSecrets.map((secret) => deriveSigningKey(secret)),
  lifetimeSeconds: env.accessSeconds,
})
const codes = authorizationCodes(tokens, { issuer: origin, secrets: codeSecrets })
const options = authOptions(env)

const app = Fastify({ routerOptions: { ignoreTrailingSlash: true } })
app.register(authPlugin(tokens, { ...options, accessTokens, codes }))
app.register(endpointPlugin(authorizePage({ ...options, codes })), { prefix: '/oauth/authorize' })
const guard = requireAccessToken({ accessTokens })
app.get(
  '/api/me',
  guard.handler((request) => ({ sub: request.auth.sub })),
)

await app.ready()
serve((request, response) => app.routing(request, response), { env, tokens, close: () => pool.end() })
