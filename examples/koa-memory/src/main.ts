import { createRefreshTokens } from '@baton/core'
import { authorizationCodes, deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { authHandler, handler, requireAccessToken } from '@baton/koa'
import { memoryStore } from '@baton/store-memory'
import { authOptions, authorizePage, readEnvironment, report, serve } from '@baton-examples/shared'
import Router from '@koa/router'
import Koa from 'koa'

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

const router = new Router()
router.all('/oauth/authorize', handler(authorizePage({ ...options, codes })))
router.get('/api/me', requireAccessToken({ accessTokens }), (ctx) => {
  ctx.body = { sub: ctx.state.auth.sub }
})

const app = new Koa()
app.use(authHandler(tokens, { ...options, accessTokens, codes }))
app.use(router.routes())
serve(app.callback(), { env, tokens })
