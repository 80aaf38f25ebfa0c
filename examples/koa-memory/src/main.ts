import { createRefreshTokens } from '@baton/core'
import { authorizationCodes, deriveSigningKey, jwtAccessTokens } from '@baton/http'
import {
  handler,
  introspectionHandler,
  loginHandler,
  logoutHandler,
  refreshHandler,
  requireAccessToken,
  revocationHandler,
  sessionsHandler,
} from '@baton/koa'
import { memoryStore } from '@baton/store-memory'
import { authenticate, authorizePage, clientsOf, readEnvironment, report, serve } from '@baton-examples/shared'
import Router from '@koa/router'
import Koa from 'koa'

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

const router = new Router()
router.all('/login', loginHandler(tokens, { accessToken, authenticate, cookie, rateLimit }))
router.all('/oauth/authorize', handler(authorizePage({ codes, ...oauth })))
router.all('/oauth/token', refreshHandler(tokens, { accessToken, codes, ...oauth }))
router.all('/oauth/revoke', revocationHandler(tokens, { accessToken, ...oauth }))
router.all('/oauth/introspect', introspectionHandler(tokens, { accessToken, ...oauth }))
router.all('/auth/refresh', refreshHandler(tokens, { accessToken, cookie, rateLimit }))
router.all('/auth/logout', logoutHandler(tokens, { cookie, rateLimit }))
router.all('/auth/{*path}', sessionsHandler(tokens, { verify: accessToken, rateLimit }))
router.get('/api/me', requireAccessToken({ verify: accessToken }), (ctx) => {
  ctx.body = { sub: ctx.state.auth?.sub }
})
router.get('/.well-known/jwks.json', (ctx) => {
  ctx.body = accessToken.jwks()
})

const app = new Koa().use(router.routes())
serve(app.callback(), { env, tokens })
