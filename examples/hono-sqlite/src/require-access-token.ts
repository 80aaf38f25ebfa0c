import { type AccessTokenClaims, type AccessTokenGuard, webGuard } from '@baton/http'
import { createMiddleware } from 'hono/factory'

/** Lets in who brings an access token, and leaves what it says in `c.var.claims`. */
export function requireAccessToken(guard: AccessTokenGuard) {
  const judge = webGuard(guard)
  return createMiddleware<{ Variables: { claims: AccessTokenClaims } }>(async (c, next) => {
    const verdict = await judge(c.req.raw)
    if (!verdict.ok) return verdict.response
    c.set('claims', verdict.claims)
    for (const [name, value] of verdict.headers) c.header(name, value, { append: true })
    return next()
  })
}
