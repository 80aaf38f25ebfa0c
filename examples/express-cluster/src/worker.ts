import cluster from 'node:cluster'
import { createRefreshTokens } from '@baton/core'
import { authHandler, handler, requireAccessToken } from '@baton/express'
import { authorizationCodes, deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { redisStore } from '@baton/store-redis'
import {
  authOptions,
  authorizePage,
  connectOrExit,
  readEnvironment,
  redisUrls,
  report,
  serve,
  printFindings,
} from '@baton-examples/shared'
import express from 'express'
import { Cluster } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'

/** Serves as one of several processes on one port. */
export async function serveAsWorker(): Promise<void> {
  // Calls fail fast during an outage of Redis: the response is 503, and the client retries.
  const redis = new Cluster(redisUrls(), { lazyConnect: true, redisOptions: { maxRetriesPerRequest: 1 } })
  const env = readEnvironment({ createLimiter: (options) => new RateLimiterRedis({ storeClient: redis, ...options }) })
  const { origin, secrets, signingSecrets, codeSecrets, policy } = env

  const store = redisStore(redis)
  await connectOrExit('REDIS_URL', redis, () => redis.connect())
  if (cluster.worker?.id === 1) printFindings(await store.check())

  const tokens = createRefreshTokens({ store, secrets, policy, onEvent: report })
  const accessTokens = jwtAccessTokens({
    issuer: origin,
    audience: origin,
    keys: signingSecrets.map((secret) => deriveSigningKey(secret)),
    lifetimeSeconds: env.accessSeconds,
  })
  const codes = authorizationCodes(tokens, { issuer: origin, secrets: codeSecrets })
  const options = authOptions(env)

  const app = express()
  app.use((_req, res, next) => {
    res.set('x-worker', String(process.pid))
    next()
  })
  app.use(authHandler(tokens, { ...options, accessTokens, codes }))
  app.all('/oauth/authorize', handler(authorizePage({ ...options, codes })))
  const guard = requireAccessToken({ accessTokens })
  app.get(
    '/api/me',
    guard.handler((req, res) => res.json({ sub: req.auth.sub })),
  )

  serve(app, { env, tokens, close: () => redis.disconnect() })
}
