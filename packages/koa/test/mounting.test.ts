import { describeMounting, serve } from '@baton/http-parity'
import Router from '@koa/router'
import Koa from 'koa'
import mount from 'koa-mount'
import { authHandler } from '../src/index.js'

const start = (app: Pick<Koa, 'callback'>) => serve(app.callback())

describeMounting('Koa', {
  authHandler,
  atRoot: (handler) => start(new Koa().use(handler)),
  below: {
    'koa-mount': (handler) => start(new Koa().use(mount('/x/y', handler))),
    'koa-mount in koa-mount': (handler) => start(new Koa().use(mount('/x', mount('/y', handler)))),
    'koa-mount of an app': (handler) => start(new Koa().use(mount('/x/y', new Koa().use(handler)))),
    '@koa/router': (handler) => start(new Koa().use(new Router().all('/x/y/{*rest}', handler).routes())),
    'a prefix of @koa/router': (handler) =>
      start(new Koa().use(new Router({ prefix: '/x/y' }).all('/{*rest}', handler).routes())),
    'a parameter of @koa/router': (handler) =>
      start(new Koa().use(new Router().all('/x/:tenant/{*rest}', handler).routes())),
    'nested routers': (handler) => {
      const inner = new Router({ prefix: '/y' }).all('/{*rest}', handler)
      return start(new Koa().use(new Router({ prefix: '/x' }).use(inner.routes()).routes()))
    },
    '@koa/router in koa-mount': (handler) => {
      const inner = new Koa().use(new Router().all('/y/{*rest}', handler).routes())
      return start(new Koa().use(mount('/x', inner)))
    },
  },
})
