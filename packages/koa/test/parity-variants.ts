import { type describeParity, type Differences, editHeaderRecord, serve, type World } from '@baton/http-parity'
import { bodyParser as newBodyParser } from '@koa/bodyparser'
import Router from '@koa/router'
import Koa, { type Middleware } from 'koa'
import { koaBody } from 'koa-body'
import bodyParser from 'koa-bodyparser'
import * as adapter from '../src/index.js'

const start =
  (...parsers: Middleware[]) =>
  (world: World) => {
    const { whole, exact, below, guards } = world.mounts<Middleware, Middleware<adapter.AuthState>>(adapter)
    const router = new Router()
    for (const [path, handler] of exact) router.all(path, handler)
    for (const [path, handler] of below) router.all(`${path}/{*rest}`, handler)
    for (const [path, guard] of guards)
      router.get(path, guard, (ctx) => {
        ctx.body = ctx.state.auth.sub
      })
    const app = new Koa()
    app.silent = true
    app.use(async (ctx, next) => {
      editHeaderRecord(ctx.headers)
      await next()
    })
    for (const parser of parsers) app.use(parser)
    return serve(app.use(whole).use(router.routes()).callback())
  }

/** The parsers reject forms above 56 KiB and malformed JSON. */
const REJECTED: Differences = {
  'a body of the maximum length': { status: 413 },
  'a body of one byte more': { status: 413 },
  'a body far too large': { status: 413 },
  'a body far too large, in chunks': { status: 413 },
  'the media type "application/json"': { status: 400 },
  'a login that is not JSON': { status: 400 },
  'a login that is a number': { status: 400 },
}

/** koa-body keeps malformed escapes unchanged, and parses an empty body as `{}`. */
const TEXT_LOST: Differences = {
  'a percent sign without digits in a value': { status: 400, error: 'invalid_grant' },
  'a percent sign at the end': { status: 400, error: 'invalid_grant' },
  'a percent sign without digits in a name': { status: 200 },
  'an escape that is not UTF-8': { status: 400, error: 'invalid_grant' },
  'a login with an empty body': { status: 400, error: 'invalid_request' },
}

type Variant = Parameters<typeof describeParity>

export const sample: readonly Variant[] = [
  ['Koa', start()],
  ['Koa with koa-bodyparser', start(bodyParser()), REJECTED],
]
export const rest: readonly Variant[] = [
  ['Koa with @koa/bodyparser', start(newBodyParser()), REJECTED],
  ['Koa with koa-body', start(koaBody()), { ...REJECTED, ...TEXT_LOST }],
]
