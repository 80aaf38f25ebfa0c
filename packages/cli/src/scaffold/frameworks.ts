export type Framework = 'express' | 'koa' | 'fastify' | 'hono'

interface FrameworkPart {
  readonly title: string
  readonly server: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly types: Readonly<Record<string, string>>
}

const handlers = (
  framework: string,
) => `import { loginHandler, logoutHandler, refreshHandler, requireAccessToken, sessionsHandler } from '@baton/${framework}'
`

export const FRAMEWORKS: Readonly<Record<Framework, FrameworkPart>> = {
  express: {
    title: 'Express',
    server: `${handlers('express')}import express from 'express'
import { accountName, authenticate } from './authenticate.js'
import { accessTokens, port, tokens } from './tokens.js'

const app = express()
app.post('/login', loginHandler(tokens, { accessTokens, authenticate, accountName, cookie: true }))
app.post('/auth/refresh', refreshHandler(tokens, { accessTokens, cookie: true }))
app.post('/auth/logout', logoutHandler(tokens, { cookie: true }))
app.use('/auth', sessionsHandler(tokens, { accessTokens }))
const guard = requireAccessToken({ accessTokens })
app.get(
  '/api/me',
  guard.handler((req, res) => res.json({ sub: req.auth.sub })),
)

app.listen(port, '127.0.0.1', () => console.log(\`listening on http://127.0.0.1:\${port}\`))
`,
    dependencies: { express: '^5.3.0' },
    types: { '@types/express': '^5.0.6' },
  },
  koa: {
    title: 'Koa',
    server: `${handlers('koa')}import Router from '@koa/router'
import Koa from 'koa'
import { accountName, authenticate } from './authenticate.js'
import { accessTokens, port, tokens } from './tokens.js'

const router = new Router()
router.post('/login', loginHandler(tokens, { accessTokens, authenticate, accountName, cookie: true }))
router.post('/auth/refresh', refreshHandler(tokens, { accessTokens, cookie: true }))
router.post('/auth/logout', logoutHandler(tokens, { cookie: true }))
router.all('/auth/{*path}', sessionsHandler(tokens, { accessTokens }))
router.get('/api/me', requireAccessToken({ accessTokens }), (ctx) => {
  ctx.body = { sub: ctx.state.auth.sub }
})

const app = new Koa().use(router.routes())
app.listen(port, '127.0.0.1', () => console.log(\`listening on http://127.0.0.1:\${port}\`))
`,
    dependencies: { koa: '^3.3.0', '@koa/router': '^15.7.0' },
    types: { '@types/koa': '^3.0.3' },
  },
  fastify: {
    title: 'Fastify',
    server: `import { loginPlugin, logoutPlugin, refreshPlugin, requireAccessToken, sessionsPlugin } from '@baton/fastify'
import Fastify from 'fastify'
import { accountName, authenticate } from './authenticate.js'
import { accessTokens, port, tokens } from './tokens.js'

const app = Fastify()
app.register(loginPlugin(tokens, { accessTokens, authenticate, accountName, cookie: true }), { prefix: '/login' })
app.register(refreshPlugin(tokens, { accessTokens, cookie: true }), { prefix: '/auth/refresh' })
app.register(logoutPlugin(tokens, { cookie: true }), { prefix: '/auth/logout' })
app.register(sessionsPlugin(tokens, { accessTokens }), { prefix: '/auth' })
const guard = requireAccessToken({ accessTokens })
app.get(
  '/api/me',
  guard.handler((request) => ({ sub: request.auth.sub })),
)

await app.listen({ port, host: '127.0.0.1' })
console.log(\`listening on http://127.0.0.1:\${port}\`)
`,
    dependencies: { fastify: '^5.12.0' },
    types: {},
  },
  hono: {
    title: 'Hono',
    server: `${handlers('hono')}import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { accountName, authenticate } from './authenticate.js'
import { accessTokens, port, tokens } from './tokens.js'

const app = new Hono({ strict: false })
app.post('/login', loginHandler(tokens, { accessTokens, authenticate, accountName, cookie: true }))
app.post('/auth/refresh', refreshHandler(tokens, { accessTokens, cookie: true }))
app.post('/auth/logout', logoutHandler(tokens, { cookie: true }))
app.all('/auth/*', sessionsHandler(tokens, { accessTokens }))
app.get('/api/me', requireAccessToken({ accessTokens }), (c) => c.json({ sub: c.var.auth.sub }))

serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, () => console.log(\`listening on http://127.0.0.1:\${port}\`))
`,
    dependencies: { hono: '^4.13.0', '@hono/node-server': '^2.1.0' },
    types: {},
  },
}
