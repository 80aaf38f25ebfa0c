import { ConfigurationError } from '@baton/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { logoutEndpoint, tokenEndpoint, revocationEndpoint } from '../../src/index.js'
import { toNetwork } from '../../src/pipeline/ip-address.js'
import { createTransportReader, getUrl } from '../../src/pipeline/transport.js'
import {
  CLIENTS,
  expectError,
  readableAccessTokens,
  refreshWith,
  request,
  type RequestPatch,
  send,
  createSetup,
} from '../setup.js'

const seen = (patch: RequestPatch, trustProxy = 0) => createTransportReader({ trustProxy })(request(patch))

describe('HTTPS', () => {
  test('rejects plain http before any other check, except on this machine', async () => {
    const { token, issue, state } = createSetup()
    const refreshToken = await issue()
    state.calls.length = 0
    for (const remoteAddress of ['203.0.113.7', '10.0.0.1', '2001:db8::1', '::', '::2', '128.0.0.1'])
      expectError(
        await refreshWith(token, refreshToken, {}, { encrypted: false, remoteAddress }),
        400,
        'invalid_request',
      )
    expect(state.calls).toEqual([])
    const headers = { host: 'localhost:3000' }
    for (const remoteAddress of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '0:0:0:0:0:0:0:1'])
      expect((await refreshWith(token, refreshToken, {}, { encrypted: false, remoteAddress, headers })).status).toBe(
        200,
      )
  })

  test('detects an undeclared proxy on this machine by the host name that its client used', () => {
    const local = { encrypted: false, remoteAddress: '127.0.0.1' }
    for (const host of ['app.example', 'app.example:80', 'localhost.example', undefined])
      expect(seen({ ...local, headers: { host, 'x-forwarded-proto': 'https' } }).acceptable).toBe(false)
    for (const host of ['localhost', '127.0.0.1:8080', '[::1]:3000', 'app.localhost:3000'])
      expect(seen({ ...local, headers: { host } }).acceptable).toBe(true)
  })

  test('uses the Host header if the runtime has no remote address', () => {
    const nowhere = { encrypted: false, remoteAddress: null }
    for (const host of ['localhost:3000', 'LOCALHOST', '127.0.0.1', '[::1]:80', 'a.app.localhost'])
      expect(seen({ ...nowhere, headers: { host } }).acceptable).toBe(true)
    for (const host of [
      'as.example',
      'localhost.example',
      '127.0.0.1.example',
      'evillocalhost',
      '.localhost',
      undefined,
    ])
      expect(seen({ ...nowhere, headers: { host } }).acceptable).toBe(false)
  })

  test('M-06: ignores forwarding headers without trustProxy', () => {
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' }
    expect(seen({ encrypted: false, headers })).toMatchObject({
      scheme: 'http',
      address: '203.0.113.7',
      acceptable: false,
    })
  })
})

describe('proxies', () => {
  const proxied = (xff: string | string[] | undefined, proto: string | string[] | undefined, trustProxy: number) => {
    const headers = { 'x-forwarded-for': xff, 'x-forwarded-proto': proto }
    const { scheme, address } = seen({ encrypted: false, remoteAddress: '10.0.0.1', headers }, trustProxy)
    return [scheme, address]
  }

  test('M-06 L-06: uses the address that the outermost trusted proxy saw, whatever the client sends', () => {
    expect(proxied('198.51.100.1', 'https', 1)).toEqual(['https', '198.51.100.1'])
    expect(proxied('1.1.1.1, 198.51.100.1', 'https', 1)).toEqual(['https', '198.51.100.1'])
    expect(proxied('1.1.1.1, 198.51.100.1, 10.0.0.2', 'http, https, http', 2)).toEqual(['https', '198.51.100.1'])
    expect(proxied(['1.1.1.1', '198.51.100.1', '10.0.0.2'], 'https', 2)).toEqual(['https', '198.51.100.1'])
  })

  test('removes ports and brackets from addresses', () => {
    expect(proxied('198.51.100.1:1234', 'https', 1)).toEqual(['https', '198.51.100.1'])
    expect(proxied('[2001:db8::1]:1234', 'HTTPS', 1)).toEqual(['https', '2001:db8::1'])
    expect(proxied('2001:db8::1', 'https', 1)).toEqual(['https', '2001:db8::1'])
  })

  test('uses the socket of a request that bypassed the proxies', () => {
    expect(proxied(undefined, undefined, 1)).toEqual(['http', '10.0.0.1'])
    expect(proxied('198.51.100.1', undefined, 2)).toEqual(['http', '10.0.0.1'])
  })

  test('has no address to count if a proxy hides the client', () => {
    expect(proxied('unknown', 'https', 1)).toEqual(['https', null])
  })

  test('treats plain http through a proxy on the same machine as plain http', () => {
    const headers = { 'x-forwarded-for': '198.51.100.1', 'x-forwarded-proto': 'http' }
    expect(seen({ encrypted: false, remoteAddress: '127.0.0.1', headers }, 1).acceptable).toBe(false)
  })

  test('rejects a trustProxy that is not a number of hops', () => {
    const { tokens } = createSetup()
    const accessTokens = readableAccessTokens()
    for (const trustProxy of [true, -1, 1.5, '1', NaN] as never[]) {
      expect(() => tokenEndpoint(tokens, { accessTokens, clients: CLIENTS, trustProxy })).toThrow(ConfigurationError)
      expect(() => logoutEndpoint(tokens, { cookie: true, trustProxy })).toThrow(ConfigurationError)
      expect(() => revocationEndpoint(tokens, { clients: CLIENTS, trustProxy })).toThrow(ConfigurationError)
    }
  })
})

describe('URL of the request', () => {
  const urlSeen = (publicUrl: string | undefined, patch: RequestPatch) => {
    const plain = request(patch)
    return getUrl(plain, createTransportReader(publicUrl === undefined ? {} : { publicUrl })(plain))
  }

  test('D-07: uses the Host header by default', () => {
    expect(urlSeen(undefined, { url: '/a/b?c#d' })).toBe('https://as.example/a/b')
    expect(urlSeen(undefined, { headers: { host: 'as.example:8443' }, url: '/' })).toBe('https://as.example:8443/')
    for (const host of [undefined, ['a.example', 'b.example'], 'a b', 'a/b', 'user@a', ''])
      expect(urlSeen(undefined, { headers: { host } })).toBe(null)
  })

  test('D-07: uses publicUrl whatever the Host header contains', () => {
    for (const host of ['evil.example', undefined, 'internal:3000']) {
      expect(urlSeen('https://login.example', { headers: { host }, url: '/token' })).toBe('https://login.example/token')
      expect(urlSeen('https://h/auth/', { headers: { host }, url: '/token?x' })).toBe('https://h/auth/token')
    }
  })

  test('T-11: requires an https publicUrl to which a path can be appended', () => {
    const { tokens } = createSetup()
    for (const publicUrl of [
      'http://login.example',
      'login.example',
      'https://h?x',
      'https://h#x',
      'https://u@h',
      '',
      5,
    ])
      expect(() => logoutEndpoint(tokens, { cookie: true, publicUrl: publicUrl as string }), String(publicUrl)).toThrow(
        ConfigurationError,
      )
    const good = [
      'https://login.example',
      'http://localhost:3000',
      'http://127.0.0.1:1',
      'http://[::1]',
      'http://a.localhost',
    ]
    for (const publicUrl of good) expect(() => logoutEndpoint(tokens, { cookie: true, publicUrl })).not.toThrow()
    for (const publicUrl of good) {
      const { origin } = new URL(publicUrl)
      expect(() => logoutEndpoint(tokens, { cookie: { allowedOrigins: [origin] } })).not.toThrow()
    }
  })

  test('H-05: accepts a page of the origin of publicUrl although a proxy has changed Host', async () => {
    const { tokens, issue } = createSetup()
    const publicUrl = 'https://app.example/auth'
    const logout = logoutEndpoint(tokens, { cookie: true, rateLimit: false, publicUrl })
    const cookie = `__Host-baton=${await issue({ clientId: 'first-party' })}`
    const from = async (origin: string) => {
      const headers = { host: 'internal:3000', origin, 'x-baton': '1', cookie }
      return (await send(logout, { headers })).status
    }
    expect(await from('https://internal:3000')).toBe(403)
    expect(await from('https://app.example')).toBe(204)
  })
})

describe('rate limit buckets of addresses', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2:ffff::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
  ])('counts %s as %s', (address, network) => {
    expect(toNetwork(address)).toBe(network)
  })

  test('counts all spellings of the addresses of one /64 together', () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.ipV4(), (v6, v4) => {
        expect(toNetwork(v6)).toMatch(/^([0-9a-f]{1,4}:){4}:\/64$|^\d+\.\d+\.\d+\.\d+$/)
        expect(toNetwork(`::ffff:${v4}`)).toBe(toNetwork(v4))
      }),
    )
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 0xffff }), { minLength: 8, maxLength: 8 }), (groups) => {
        const text = groups.map((group) => group.toString(16))
        const other = [...text.slice(0, 4), '1', '2', '3', '4']
        expect(toNetwork(text.join(':').toUpperCase())).toBe(toNetwork(other.join(':')))
      }),
    )
  })
})
