import cluster from 'node:cluster'
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
import { redisStore } from '@baton/store-redis'
import {
  authenticate,
  authorizePage,
  clientsOf,
  reach,
  readEnvironment,
  redisUrls,
  report,
  serve,
  warnOf,
} from '@baton-examples/shared'
import express from 'express'
import { Cluster } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'

/** One of several processes that answer on one port. */
export async function serveAsWorker(): Promise<void> {
  // A call fails soon when Redis is away: the answer is 503, and the client's to repeat.
  const redis = new Cluster(redisUrls(), { lazyConnect: true, redisOptions: { maxRetriesPerRequest: 1 } })
  const env = readEnvironment({ createLimiter: (options) => new RateLimiterRedis({ storeClient: redis, ...options }) })
  const { origin, secrets, codeSecrets, policy, rateLimit } = env

  const store = redisStore(redis)
  await reach('REDIS_URL', redis, () => redis.connect())
  if (cluster.worker?.id === 1) warnOf(await store.check())

  const tokens = createRefreshTokens({ store, secrets, policy, onEvent: report })
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
  app.use((_req, res, next) => {
    res.set('x-worker', String(process.pid))
    next()
  })
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

  serve(app, { env, tokens, close: () => redis.disconnect() })
}
