import { describeMounting, serve } from '@baton/http-parity'
import express5 from 'express'
import express4 from 'express-4'
import { describe } from 'vitest'
import { authHandler, type ExpressHandler } from '../src/index.js'

describe.each([
  ['Express 5', express5],
  ['Express 4', express4],
])('%s', (name, express) => {
  const nested = (handler: ExpressHandler) => express.Router().use('/y', handler)
  describeMounting(name, {
    authHandler,
    atRoot: (handler) => serve(express().use(handler)),
    below: {
      'app.use': (handler) => serve(express().use('/x/y', handler)),
      'app.use with a parameter': (handler) => serve(express().use('/x/:tenant', handler)),
      'nested routers': (handler) => serve(express().use('/x', nested(handler))),
      'a nested app': (handler) => serve(express().use('/x', express().use('/y', handler))),
    },
  })
})
