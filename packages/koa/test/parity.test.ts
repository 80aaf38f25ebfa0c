import { describeParity, serve, type World } from '@baton/http-parity'
import { bodyParser as newBodyParser } from '@koa/bodyparser'
import Router from '@koa/router'
import Koa, { type Middleware } from 'koa'
import { koaBody } from 'koa-body'
import bodyParser from 'koa-bodyparser'
import * as adapter from '../src/index.js'

const start =
  (...parsers: Middleware[]) =>
  (world: World) => {
    const { exact, below, guards } = world.mounts(adapter)
    const router = new Router()
    for (const [path, handler] of exact) router.all(path, handler)
    for (const [path, handler] of below) router.all(`${path}/{*rest}`, handler)
    for (const [path, guard] of guards)
      router.get(path, guard, (ctx) => {
        ctx.body = ctx.state.auth?.sub
      })
    const app = new Koa()
    app.silent = true
    for (const parser of parsers) app.use(parser)
    return serve(app.use(router.routes()).callback())
  }

describeParity('Koa', start())
describeParity('Koa with koa-bodyparser', start(bodyParser()))
describeParity('Koa with @koa/bodyparser', start(newBodyParser()))
describeParity('Koa with koa-body', start(koaBody()))
