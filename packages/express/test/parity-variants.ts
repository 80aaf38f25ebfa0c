import { type describeParity, type Differences, editHeaderRecord, serve, type World } from '@baton/http-parity'
import express5 from 'express'
import express4 from 'express-4'
import * as adapter from '../src/index.js'

type Express = typeof express5

const start =
  (express: Express, ...parsers: express5.RequestHandler[]) =>
  (world: World) => {
    const { whole, exact, below, guards } = world.mounts(adapter)
    const app = express()
    app.use((request, _response, next) => {
      editHeaderRecord(request.headers)
      next()
    })
    for (const parser of parsers) app.use(parser)
    app.use(whole)
    for (const [path, handler] of exact) app.all(path, handler)
    for (const [path, handler] of below) app.use(path, handler)
    for (const [path, guard] of guards)
      app.get(path, guard, (request, response) => {
        response.type('text').send(request.auth?.sub)
      })
    return serve(app)
  }

/** Express rejects bodies above the limit of its parsers. */
const TOO_LARGE: Differences = {
  'a body far too large': { status: 413 },
  'a body far too large, in chunks': { status: 413 },
}

/** json() rejects malformed JSON itself, and parses an empty body as an empty object. */
const JSON_PARSED: Differences = {
  'the media type "application/json"': { status: 400 },
  'a login that is not JSON': { status: 400 },
  'a login that is a number': { status: 400 },
  'a login with an empty body': { status: 400, error: 'invalid_request' },
}

/** urlencoded() keeps malformed escapes unchanged. */
const FORM_PARSED: Differences = {
  'a percent sign without digits in a value': { status: 400, error: 'invalid_grant' },
  'a percent sign at the end': { status: 400, error: 'invalid_grant' },
  'a percent sign without digits in a name': { status: 200 },
}
const ESCAPE_KEPT: Differences = { 'an escape that is not UTF-8': { status: 400, error: 'invalid_grant' } }
const CHARSET_REJECTED: Differences = { 'a charset that is not UTF-8': { status: 415 } }

const parsed: Differences = { ...TOO_LARGE, ...JSON_PARSED, ...FORM_PARSED }

const variantsOf = (name: string, express: Express, flat: Differences, extended: Differences): readonly Variant[] => {
  const parsers = (isExtended: boolean) => [express.json(), express.urlencoded({ extended: isExtended })]
  const all = { type: () => true }
  return [
    [name, start(express), {}],
    [`${name} with json() and urlencoded()`, start(express, ...parsers(false)), { ...parsed, ...flat }],
    [`${name} with extended urlencoded()`, start(express, ...parsers(true)), { ...parsed, ...extended }],
    [`${name} with raw()`, start(express, express.raw(all)), TOO_LARGE],
    [`${name} with text()`, start(express, express.text(all)), TOO_LARGE],
  ]
}

type Variant = Parameters<typeof describeParity>

const variants = [
  ...variantsOf('Express 5', express5, ESCAPE_KEPT, ESCAPE_KEPT),
  ...variantsOf('Express 4', express4, CHARSET_REJECTED, { ...CHARSET_REJECTED, ...ESCAPE_KEPT }),
]
const SAMPLE = ['Express 5', 'Express 5 with json() and urlencoded()', 'Express 4 with extended urlencoded()']

export const sample = variants.filter(([name]) => SAMPLE.includes(name))
export const rest = variants.filter(([name]) => !SAMPLE.includes(name))
