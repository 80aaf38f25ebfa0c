import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, request as tlsRequest } from 'node:https'
import { type AddressInfo, connect, type Server } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type Endpoint,
  loginEndpoint,
  type PlainRequest,
  readNodeRequest,
  tokenEndpoint,
  toNodeHandler,
  writeNodeResponse,
} from '../../src/index.js'
import { createApp } from '../app.js'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    if ('closeAllConnections' in server) (server as ReturnType<typeof createServer>).closeAllConnections()
    server.close()
    await once(server, 'close')
  }
})

async function listen(server: Server): Promise<number> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function serve(listener: RequestListener) {
  const port = await listen(createServer(listener))
  return { port, url: `http://127.0.0.1:${port}` }
}

/** Responds with the request as it was received. */
function echo(seen: PlainRequest[] = [], limit = 1000): Endpoint {
  return async (request) => {
    seen.push(request)
    const body = request.body.kind === 'stream' ? await request.body.read(limit) : null
    return {
      status: body === null ? 413 : 200,
      headers: [],
      body: body === null ? 'too much' : Buffer.from(body).toString(),
    }
  }
}

/** Returns what a server sends on a raw connection until the connection ends, or until `done` returns true. */
async function raw(port: number, text: string, done = (_answer: string) => false): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(text)
  let reply = ''
  for await (const chunk of socket) {
    reply += String(chunk)
    if (done(reply)) break
  }
  return reply
}

describe('requests of Node', () => {
  it('reads method, URL, headers and body of a request unchanged', async () => {
    const seen: PlainRequest[] = []
    const { port, url } = await serve(toNodeHandler(echo(seen)))
    const response = await fetch(`${url}/a/b?c=d%20e`, { method: 'POST', body: 'grüße', headers: { 'X-One': '1' } })
    expect([response.status, await response.text()]).toEqual([200, 'grüße'])
    expect(seen).toMatchObject([
      {
        method: 'POST',
        url: '/a/b?c=d%20e',
        remoteAddress: '127.0.0.1',
        encrypted: false,
        headers: { 'x-one': ['1'], host: [`127.0.0.1:${port}`], 'content-type': ['text/plain;charset=UTF-8'] },
      },
    ])
  })

  it('B-03: passes on every occurrence of a repeated header', async () => {
    const seen: PlainRequest[] = []
    const { port } = await serve(toNodeHandler(echo(seen)))
    const lines = [
      'GET / HTTP/1.1',
      'Host: x',
      'Authorization: Bearer a',
      'AUTHORIZATION: Bearer b',
      'Cookie: a=1',
      'Cookie: b=2',
    ]
    await raw(port, `${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`)
    expect(seen[0]?.headers).toMatchObject({ authorization: ['Bearer a', 'Bearer b'], cookie: ['a=1', 'b=2'] })
  })

  it('passes on only the headers of the request', async () => {
    const seen: PlainRequest[] = []
    const { port } = await serve(toNodeHandler(echo(seen)))
    await raw(port, 'GET / HTTP/1.1\r\nHost: x\r\n__proto__: y\r\nConnection: close\r\n\r\n')
    // Node omits this name from `headers`.
    expect(seen[0]?.headers['__proto__']).toBeUndefined()
    expect(seen[0]?.headers['constructor']).toBeUndefined()
  })

  it('reduces an absolute URL in the request line to its path', async () => {
    const seen: PlainRequest[] = []
    const { port } = await serve(toNodeHandler(echo(seen)))
    await raw(port, 'GET http://elsewhere.example/a?b=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    expect(seen[0]).toMatchObject({ url: '/a?b=c', encrypted: false })
  })

  it.each([
    ['http://elsewhere.example:99999/a?b=c', '/a?b=c'],
    ['http://[/a', '/a'],
    ['http://', '/'],
    ['http://x?b=c', '/?b=c'],
    ['//x:99999/a', '//x:99999/a'],
    ['*', '*'],
    ['a:b', 'a:b'],
  ])('reduces the request target %s to its path, although it is not a valid URL', (target, url) => {
    const request = { url: target, method: 'GET', headers: {}, rawHeaders: [], socket: {} }
    expect(readNodeRequest(request as unknown as IncomingMessage).url).toBe(url)
  })

  it('marks a request over TLS as encrypted', async () => {
    const seen: PlainRequest[] = []
    const handler = toNodeHandler(echo(seen))
    // With a pre-shared key, no certificate is needed.
    const psk = Buffer.alloc(32, 7)
    const tls = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const
    const port = await listen(createTlsServer({ ...tls, pskCallback: () => psk }, handler))
    const client = { ...tls, pskCallback: () => ({ psk, identity: 'test' }), checkServerIdentity: () => undefined }
    const call = tlsRequest({ ...client, port, host: '127.0.0.1' }).end()
    const [response] = (await once(call, 'response')) as [IncomingMessage]
    response.resume()
    expect(seen).toMatchObject([{ encrypted: true }])
  })

  it('uses the original URL if a router has shortened the URL', () => {
    const request = {
      url: '/token',
      method: 'POST',
      rawHeaders: [],
      socket: {},
      readableDidRead: false,
      readableEnded: false,
    }
    const plain = readNodeRequest(request as unknown as IncomingMessage, { originalUrl: '/oauth/token?x=1' })
    expect(plain).toMatchObject({ url: '/oauth/token?x=1', remoteAddress: null })
  })
})

describe('request bodies', () => {
  it('reads a body in several chunks as one', async () => {
    const { port } = await serve(toNodeHandler(echo()))
    const chunks = ['4\r\nabcd\r\n', '3\r\nefg\r\n', '0\r\n\r\n']
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
    expect(await raw(port, head + chunks.join(''))).toContain('\r\n\r\nabcdefg')
  })

  it('T-14: responds with 413 to a body over the limit and keeps the connection open', async () => {
    const { port } = await serve(toNodeHandler(echo([], 10)))
    const long = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(200_000)}`
    const next = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'
    const reply = await raw(port, long + next)
    expect(reply.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200'])
    expect(reply.endsWith('ok')).toBe(true)
  })

  it('responds with 413 before the rest of a body over the limit has arrived', async () => {
    const { port } = await serve(toNodeHandler(echo([], 10)))
    const begun = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(11)}`
    expect(await raw(port, begun, (reply) => reply.includes('too much'))).toContain('HTTP/1.1 413')
  })

  it('does not fail if a client closes the connection after a 413', async () => {
    const { port, url } = await serve(toNodeHandler(echo([], 10)))
    const begun = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(11)}`
    // Leaving the loop over the response destroys the socket.
    for (let index = 0; index < 5; index++) await raw(port, begun, (reply) => reply.includes('too much'))
    expect((await fetch(url, { method: 'POST', body: 'next' })).status).toBe(200)
  })

  it('accepts a body of exactly the limit', async () => {
    const { url } = await serve(toNodeHandler(echo([], 10)))
    expect((await fetch(url, { method: 'POST', body: 'x'.repeat(10) })).status).toBe(200)
    expect((await fetch(url, { method: 'POST', body: 'x'.repeat(11) })).status).toBe(413)
  })

  it('reads a body without a length as empty', async () => {
    const { url } = await serve(toNodeHandler(echo()))
    const response = await fetch(url, { method: 'POST' })
    expect([response.status, await response.text()]).toEqual([200, ''])
  })

  it('uses the parsed body if a body parser has read the stream', async () => {
    const bodies: unknown[] = []
    const { url } = await serve((request, response) => {
      request.resume().once('end', () => {
        bodies.push(readNodeRequest(request, { body: { parsed: true } }).body)
        response.end()
      })
    })
    await fetch(url, { method: 'POST', body: 'x' })
    await fetch(url, { method: 'POST', body: '' })
    expect(bodies).toEqual([
      { kind: 'parsed', value: { parsed: true } },
      { kind: 'parsed', value: { parsed: true } },
    ])
  })

  it('reads the body from the stream if a body parser has skipped its media type', async () => {
    const { url } = await serve((request, response) => {
      const { body } = readNodeRequest(request, { body: {} })
      if (body.kind === 'stream') void body.read(100).then((bytes) => response.end(bytes))
    })
    expect(await (await fetch(url, { method: 'POST', body: 'mine' })).text()).toBe('mine')
  })

  it.each<[string, (request: IncomingMessage) => void]>([
    ['counts its bytes', (request) => request.on('data', () => undefined)],
    ['has resumed the stream', (request) => request.resume()],
    ['reads it in a loop', (request) => void request.toArray()],
    ['has paused it', (request) => request.pause()],
    ['listens and has paused it', (request) => request.on('data', () => undefined).pause()],
  ])('reads the whole body although middleware %s', async (_, listen) => {
    const handle = toNodeHandler(echo([], 10))
    const { url } = await serve((request, response) => {
      listen(request)
      handle(request, response)
    })
    expect(await (await fetch(url, { method: 'POST', body: 'x'.repeat(10) })).text()).toBe('x'.repeat(10))
    expect((await fetch(url, { method: 'POST', body: 'x'.repeat(11) })).status).toBe(413)
    expect((await fetch(url, { method: 'POST', body: 'x'.repeat(200_000) })).status).toBe(413)
  })

  it('reads a body that arrived in several chunks before it was read', async () => {
    let arrived: () => void = () => undefined
    const begun = new Promise<void>((resolve) => (arrived = resolve))
    const { port } = await serve((request, response) => {
      const handle = toNodeHandler(async (plain) => {
        arrived()
        while (request.readableLength < 8) await new Promise(setImmediate)
        return echo()(plain)
      })
      handle(request, response)
    })
    const socket = connect(port, '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nConnection: close\r\n\r\nfour')
    await begun
    socket.write('more')
    const reply = await socket.setEncoding('utf8').toArray()
    expect(reply.join('')).toContain('\r\n\r\nfourmore')
  })

  it('does not read the body before an endpoint needs it', async () => {
    const { url } = await serve((request, response) => {
      request.on('data', () => undefined)
      readNodeRequest(request)
      response.end(String(request.listenerCount('data')))
    })
    expect(await (await fetch(url, { method: 'POST', body: 'x' })).text()).toBe('1')
  })

  it.each<[string, (request: IncomingMessage, handle: () => void) => void]>([
    [
      'later middleware has read the body',
      (request, handle) => {
        handle()
        request.resume()
      },
    ],
    [
      'earlier middleware has set an encoding',
      (request, handle) => {
        request.setEncoding('utf8')
        handle()
      },
    ],
    [
      'earlier middleware has set an encoding and reads the body',
      (request, handle) => {
        request.setEncoding('utf8').resume()
        handle()
      },
    ],
  ])('responds with 500 and reports a configuration error if %s', async (_, mistake) => {
    const app = createApp()
    const { errors, shared, accessTokens } = app
    const handle = toNodeHandler(tokenEndpoint(app.tokens, { ...shared, accessTokens, clients: [{ clientId: 'web' }] }))
    const { url } = await serve((request, response) => {
      mistake(request, () => handle(request, response))
    })
    const response = await fetch(url, { method: 'POST', body: new URLSearchParams({ grant_type: 'refresh_token' }) })
    expect([response.status, await response.json()]).toMatchObject([500, { error: 'server_error' }])
    expect(errors).toMatchObject([{ name: 'ConfigurationError', option: 'body' }])
  })

  it.each([undefined, new Error('enough')])('rejects if the request is destroyed while it is read', async (reason) => {
    let settle: (outcome: unknown) => void = () => undefined
    const outcome = new Promise((resolve) => (settle = resolve))
    const { port } = await serve((request) => {
      const { body } = readNodeRequest(request)
      if (body.kind === 'stream') body.read(100).then(settle, settle)
      request.destroy(reason)
    })
    await raw(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf')
    expect(await outcome).toMatchObject({ message: 'the client closed the connection before the request was complete' })
  })

  it.each<[string, (request: IncomingMessage, read: () => void) => void, length: number]>([
    ['while it is read', (_request, read) => read(), 50],
    ['before it is read', (request, read) => request.once('close', read), 50],
    ['before it is read, although it has sent all of it', (request, read) => request.once('close', read), 4],
  ])('rejects and leaves no pending promise if the client disconnects %s', async (_, when, length) => {
    let settle: (outcome: unknown) => void = () => undefined
    const outcome = new Promise((resolve) => (settle = resolve))
    const { port } = await serve((request) => {
      when(request, () => {
        const { body } = readNodeRequest(request)
        if (body.kind === 'stream') body.read(100).then(settle, settle)
      })
    })
    const socket = connect(port, '127.0.0.1')
    const half = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${String(length)}\r\n\r\nhalf`
    socket.write(half, () => setImmediate(() => socket.destroy()))
    expect(await outcome).toMatchObject({ message: 'the client closed the connection before the request was complete' })
  })
})

it('closes the connection if an endpoint of the app rejects', async () => {
  const { url } = await serve(toNodeHandler(() => Promise.reject(new Error('a mistake'))))
  await expect(fetch(url)).rejects.toThrow('fetch failed')
})

describe('responses of Node', () => {
  const write = (before: (response: ServerResponse) => void, ...[headers]: [[string, string][]]) =>
    serve((_request, response) => {
      before(response)
      writeNodeResponse(response, { status: 200, headers, body: '{}' })
    })

  it('keeps several Set-Cookie headers, including those of other middleware', async () => {
    const { url } = await write(
      (response) => response.setHeader('Set-Cookie', 'theirs=1'),
      [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
      ],
    )
    expect((await fetch(url)).headers.getSetCookie()).toEqual(['theirs=1', 'a=1', 'b=2'])
  })

  it('appends to Vary and replaces other headers', async () => {
    const { url } = await write(
      (response) =>
        response.setHeader('Vary', 'Origin').setHeader('Cache-Control', 'public').setHeader('X-Theirs', '1'),
      [
        ['vary', 'Cookie'],
        ['cache-control', 'no-store'],
      ],
    )
    const { headers } = await fetch(url)
    expect([headers.get('vary'), headers.get('cache-control'), headers.get('x-theirs')]).toEqual([
      'Origin, Cookie',
      'no-store',
      '1',
    ])
  })

  it('sets Content-Length for a body and omits it without a body', async () => {
    const { url } = await write(() => undefined, [])
    expect((await fetch(url)).headers.get('content-length')).toBe('2')
    const { url: empty } = await serve((_request, response) =>
      writeNodeResponse(response, { status: 204, headers: [], body: null }),
    )
    const response = await fetch(empty)
    expect([response.status, response.headers.get('content-length')]).toEqual([204, null])
  })

  it('does not write a response if another was started', async () => {
    const { url } = await write((response) => response.end('theirs'), [['x-ours', '1']])
    expect(await (await fetch(url)).text()).toBe('theirs')
  })
})

it('serves an endpoint on a real server, and an aborted login starts no session', async () => {
  const app = createApp()
  const login = loginEndpoint(app.tokens, {
    ...app.shared,
    accessTokens: app.accessTokens,
    authenticate: async () => ({ subject: 'alice' }),
  })
  const { port, url } = await serve(toNodeHandler(login))
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${url}/login`, { method: 'POST', headers, body: '{}' })
  expect(await response.json()).toMatchObject({ token_type: 'Bearer' })
  const socket = connect(port, '127.0.0.1')
  const head = 'POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{'
  socket.end(head)
  await once(socket.resume(), 'close')
  expect((await app.tokens.list({ subject: 'alice' })).items).toHaveLength(1)
})
