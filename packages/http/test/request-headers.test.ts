import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inject } from 'light-my-request'
import { createRequest, createResponse, type RequestMethod } from 'node-mocks-http'
import serverless from 'serverless-http'
import { afterEach, describe, expect, it } from 'vitest'
import { accessTokenGuard, type PlainRequest, readNodeRequest, toNodeHandler, writeNodeResponse } from '../src/index.js'
import { createApp } from './app.js'
import { basic, CB_SECRET, FORM_TYPE, createSetup } from './setup.js'

interface Sent {
  readonly method: RequestMethod
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

interface Received {
  readonly status: number
  readonly body: string
  readonly cookies: readonly string[]
}

type Environment = (listener: RequestListener, request: Sent) => Promise<Received>

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** Sends a request over a real connection. */
const overHttp: Environment = async (listener, { method, url, headers, body }) => {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${String(port)}${url}`, {
    method,
    headers: { ...headers, connection: 'close' },
    ...(body === undefined ? {} : { body }),
  })
  return { status: response.status, body: await response.text(), cookies: response.headers.getSetCookie() }
}

/** Sends an event of AWS API Gateway with payload format 2.0, which has no list of raw headers. */
const overServerlessHttp: Environment = async (listener, { method, url, headers, body = '' }) => {
  const { cookie, ...others } = headers
  const event = {
    version: '2.0',
    rawPath: url,
    rawQueryString: '',
    headers: { host: 'localhost:3000', ...others },
    cookies: cookie === undefined ? undefined : [cookie],
    requestContext: { http: { method, sourceIp: '127.0.0.1' } },
    body,
    isBase64Encoded: false,
  }
  const response = (await serverless(listener)(event, {})) as {
    statusCode: number
    headers: Record<string, string>
    cookies: string[]
    body: string
  }
  const { statusCode: status, cookies, body: text } = response
  // A single Set-Cookie is among the other headers.
  return { status, body: text, cookies: [...cookies, ...[response.headers['set-cookie'] ?? []].flat()] }
}

const overInject: Environment = async (listener, { method, url, headers, body }) => {
  const response = await inject(listener, {
    method: method as 'POST',
    url,
    headers: { host: 'localhost:3000', ...headers },
    ...(body === undefined ? {} : { payload: body }),
  })
  return { status: response.statusCode, body: response.payload, cookies: [response.headers['set-cookie'] ?? []].flat() }
}

/** Calls the handler with an object that is not a stream and has an empty socket, with only `headers` and `body`. */
const overMock: Environment = (listener, { method, url, headers, body }) =>
  new Promise((resolve) => {
    const request = createRequest({
      method,
      url,
      headers: { host: 'localhost:3000', ...headers },
      ...(body === undefined ? {} : { body: Object.fromEntries(new URLSearchParams(body)) }),
    })
    const response = createResponse()
    const end = response.end.bind(response)
    response.end = ((chunk?: string) => {
      const result = end(chunk ?? '')
      const cookies = [(response.getHeader('set-cookie') as string | string[] | undefined) ?? []].flat()
      resolve({ status: response.statusCode, body: String(response._getData()), cookies })
      return result
    }) as typeof response.end
    listener(request, response)
  })

const environments: readonly (readonly [string, Environment])[] = [
  ['a connection', overHttp],
  ['serverless-http', overServerlessHttp],
  ['inject of light-my-request', overInject],
  ['node-mocks-http', overMock],
]

const bearerPage = (app: ReturnType<typeof createApp>): RequestListener => {
  const guard = accessTokenGuard({ accessTokens: app.accessTokens, now: () => app.clock.now })
  return (request, response) => {
    void guard(readNodeRequest(request)).then((outcome) => {
      if (outcome.ok) response.end(outcome.claims.sub)
      else writeNodeResponse(response, outcome.response)
    })
  }
}

describe.each(environments)('behind %s', (_, environment) => {
  it('reads client credentials, content type and body of a token request', async () => {
    const { token, issue } = createSetup()
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: await issue({ clientId: 'cb' }) })
    const response = await environment(toNodeHandler(token), {
      method: 'POST',
      url: '/oauth/token',
      headers: { authorization: basic('cb', CB_SECRET), 'content-type': FORM_TYPE },
      body: String(body),
    })
    expect([response.status, JSON.parse(response.body)]).toMatchObject([200, { token_type: 'Bearer' }])
  })

  it('reads the session cookie and the CSRF headers, and sets the new cookie', async () => {
    const { refreshCookie, issue } = createSetup()
    const refreshToken = await issue({ clientId: 'first-party' })
    const response = await environment(toNodeHandler(refreshCookie), {
      method: 'POST',
      url: '/auth/refresh',
      headers: {
        'x-baton': '1',
        'sec-fetch-site': 'same-origin',
        cookie: `theme=dark; baton=${refreshToken}; __Host-baton=${refreshToken}`,
      },
    })
    expect([response.status, response.cookies.at(-1)]).toEqual([200, expect.stringMatching(/^(__Host-)?baton=brt_/)])
  })

  it('ignores a header that middleware removes and uses one that it sets', async () => {
    const app = createApp()
    const page = bearerPage(app)
    const { bearer } = await app.signIn('alice')
    const get = (headers: Record<string, string>, middleware: (request: IncomingMessage) => void) =>
      environment(
        (request, response) => {
          middleware(request)
          page(request, response)
        },
        { method: 'GET', url: '/me', headers },
      )
    expect(await get({ authorization: bearer }, () => undefined)).toMatchObject({ status: 200, body: 'alice' })
    expect(await get({ authorization: bearer }, ({ headers }) => delete headers['authorization'])).toMatchObject({
      status: 401,
    })
    const setBearer = ({ headers }: IncomingMessage) => (headers['authorization'] = bearer)
    expect(await get({}, setBearer)).toMatchObject({ status: 200, body: 'alice' })
    expect(await get({ authorization: 'Bearer other' }, setBearer)).toMatchObject({ status: 200, body: 'alice' })
  })
})

describe('headers of a Node request', () => {
  const read = (parts: object): PlainRequest['headers'] =>
    readNodeRequest({ url: '/', method: 'GET', socket: {}, ...parts } as unknown as IncomingMessage).headers

  it.each([[{ rawHeaders: [] }], [{ rawHeaders: undefined }], [{}]])(
    'reads headers without rawHeaders (%j)',
    (parts) => {
      const headers = { authorization: 'Bearer a', cookie: 'a=1; b=2', accept: 'a, b' }
      expect(read({ headers, ...parts })).toEqual({
        authorization: ['Bearer a'],
        cookie: ['a=1; b=2'],
        accept: ['a, b'],
      })
    },
  )

  it('prefers `headers` to a different `rawHeaders`', () => {
    const rawHeaders = ['Authorization', 'Bearer a', 'X-One', '1', 'Cookie', 'a=1', 'DPoP', 'proof']
    const headers = { authorization: 'Bearer b', 'x-two': '2', cookie: undefined }
    expect(read({ headers, rawHeaders })).toEqual({ authorization: ['Bearer b'], 'x-two': ['2'] })
  })

  it('detects a repeated header although Node drops or joins the second occurrence', () => {
    const rawHeaders = ['Authorization', 'Bearer a', 'authorization', 'Bearer b', 'DPoP', 'one', 'DPoP', 'two']
    const twice = { authorization: ['Bearer a', 'Bearer b'], dpop: ['one', 'two'] }
    expect(read({ headers: { authorization: 'Bearer a', dpop: 'one, two' }, rawHeaders })).toEqual(twice)
    expect(read({ headers: { authorization: 'Bearer a, Bearer b', dpop: 'one, two' }, rawHeaders })).toEqual(twice)
    expect(read({ headers: { authorization: 'Bearer a, Bearer b', dpop: 'one,two' } })).toEqual(twice)
    expect(read({ headers: { authorization: ['Bearer a', 'Bearer b'], DPoP: ['one', 'two'] } })).toEqual(twice)
  })

  it('returns headers as text for any request object', () => {
    expect(read({ headers: { 'Content-Length': 12 } })).toEqual({ 'content-length': ['12'] })
    expect(read({ headers: undefined, socket: undefined })).toEqual({})
  })
})
