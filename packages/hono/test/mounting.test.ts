import type { Server } from 'node:http'
import { describeMounting, listen } from '@baton/http-parity'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { authHandler } from '../src/index.js'

const start = (app: Pick<Hono, 'fetch'>) => listen(createAdaptorServer({ fetch: app.fetch }) as Server)

describeMounting('Hono', {
  authHandler,
  atRoot: (handler) => start(new Hono().use(handler)),
  below: {
    'app.use': (handler) => start(new Hono().use('/x/y/*', handler)),
    'app.use with a parameter': (handler) => start(new Hono().use('/x/:tenant/*', handler)),
    'app.all': (handler) => start(new Hono().all('/x/y/*', handler)),
    'app.route': (handler) => start(new Hono().route('/x/y', new Hono().use(handler))),
    'nested app.route': (handler) => start(new Hono().route('/x', new Hono().route('/y', new Hono().use(handler)))),
    basePath: (handler) => start(new Hono().basePath('/x/y').use(handler)),
  },
})
