import { createRefreshTokens } from '@baton/core'
import { authPlugin, endpointPlugin, requireAccessToken } from '@baton/fastify'
import { authorizationCodes, deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { sqliteStore } from '@baton/store-sqlite'
import { authOptions, authorizePage, databaseFile, readEnvironment, report, serve } from '@baton-examples/shared'
import Database from 'better-sqlite3'
import Fastify from 'fastify'

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

const app = Fastify({ routerOptions: { ignoreTrailingSlash: true } })
app.register(authPlugin(tokens, { ...options, accessTokens, codes }))
app.register(endpointPlugin(authorizePage({ ...options, codes })), { prefix: '/oauth/authorize' })
const guard = requireAccessToken({ accessTokens })
app.get(
  '/api/me',
  guard.handler((request) => ({ sub: request.auth.sub })),
)

await app.ready()
serve((request, response) => app.routing(request, response), { env, tokens, close: () => db.close() })
