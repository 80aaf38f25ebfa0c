import { createRefreshTokens } from '@baton/core'
import { authorizationCodes, deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { authHandler, handler, requireAccessToken } from '@baton/koa'
import { redisStore } from '@baton/store-redis'
import {
  authOptions,
  authorizePage,
  connectOrExit,
  readEnvironment,
  redisUrl,
  report,
  serve,
  printFindings,
} from '@baton-examples/shared'
import Router from '@koa/router'
import { Redis } from 'ioredis'
import Koa from 'koa'
import { RateLimiterRedis } from 'rate-limiter-flexible'

// Calls fail fast during an outage of Redis: the response is 503, and the client retries.
const redis = new Redis(redisUrl(), { lazyConnect: true, maxRetriesPerRequest: 1 })
const env = readEnvironment({ createLimiter: (options) => new RateLimiterRedis({ storeClient: redis, ...options }) })
const { origin, secrets, signingSecrets, codeSecrets, policy } = env

const store = redisStore(redis)
await connectOrExit('REDIS_URL', redis, () => redis.connect())
printFindings(await store.check())

const tokens = createRefreshTokens({ store, secrets, policy, onEvent: report })
const accessTokens = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: signingSecrets.map((secret) => deriveSigningKey(secret)),
  lifetimeSeconds: env.accessSeconds,
})
const codes = authorizationCodes(tokens, { issuer: origin, secrets: codeSecrets })
const options = authOptions(env)

const router = new Router()
router.all('/oauth/authorize', handler(authorizePage({ ...options, codes })))
router.get('/api/me', requireAccessToken({ accessTokens }), (ctx) => {
  ctx.body = { sub: ctx.state.auth.sub }
})

const app = new Koa()
app.use(authHandler(tokens, { ...options, accessTokens, codes }))
app.use(router.routes())
serve(app.callback(), { env, tokens, close: () => redis.disconnect() })
