import { createRefreshTokens } from '@baton/core'
import { authorizationCodes, deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { authHandler, handler, requireAccessToken } from '@baton/koa'
import { redisStore } from '@baton/store-redis'
import {
  authOptions,
  authorizePage,
  reach,
  readEnvironment,
  redisUrl,
  report,
  serve,
  warnOf,
} from '@baton-examples/shared'
import Router from '@koa/router'
import { Redis } from 'ioredis'
import Koa from 'koa'
import { RateLimiterRedis } from 'rate-limiter-flexible'

// A call fails soon when Redis is away: the answer is 503, and the client's to repeat.
const redis = new Redis(redisUrl(), { lazyConnect: true, maxRetriesPerRequest: 1 })
const env = readEnvironment({ createLimiter: (options) => new RateLimiterRedis({ storeClient: redis, ...options }) })
const { origin, secrets, signingSecrets, codeSecrets, policy } = env

const store = redisStore(redis)
await reach('REDIS_URL', redis, () => redis.connect())
warnOf(await store.check())

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
