import { MisuseError } from '@baton/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { logoutEndpoint, refreshEndpoint, revocationEndpoint } from '../src/index.js'
import { networkOf, transportOf } from '../src/transport.js'
import { CLIENTS, expectError, legibleAccessTokens, refreshWith, request, type RequestPatch, world } from './wire.js'

const seen = (patch: RequestPatch, trustProxy = 0) => transportOf(request(patch), trustProxy)

describe('https', () => {
  test('plain http is refused before anything else is looked at, except on this machine', async () => {
    const { token, issue, state } = world()
    const rt0 = await issue()
    state.calls.length = 0
    for (const remoteAddress of ['203.0.113.7', '10.0.0.1', '2001:db8::1', '::', '::2', '128.0.0.1'])
      expectError(await refreshWith(token, rt0, {}, { encrypted: false, remoteAddress }), 400, 'invalid_request')
    expect(state.calls).toEqual([])
    const headers = { host: 'localhost:3000' }
    for (const remoteAddress of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '0:0:0:0:0:0:0:1'])
      expect((await refreshWith(token, rt0, {}, { encrypted: false, remoteAddress, headers })).status).toBe(200)
  })

  test('a proxy on this machine that nobody told us of shows in the name that its client used', () => {
    const local = { encrypted: false, remoteAddress: '127.0.0.1' }
    for (const host of ['app.example', 'app.example:80', 'localhost.example', undefined])
      expect(seen({ ...local, headers: { host, 'x-forwarded-proto': 'https' } }).acceptable).toBe(false)
    for (const host of ['localhost', '127.0.0.1:8080', '[::1]:3000'])
      expect(seen({ ...local, headers: { host } }).acceptable).toBe(true)
  })

  test('where the runtime tells no address, the Host decides', () => {
    const nowhere = { encrypted: false, remoteAddress: null }
    for (const host of ['localhost:3000', 'LOCALHOST', '127.0.0.1', '[::1]:80'])
      expect(seen({ ...nowhere, headers: { host } }).acceptable).toBe(true)
    for (const host of ['as.example', 'localhost.example', '127.0.0.1.example', undefined])
      expect(seen({ ...nowhere, headers: { host } }).acceptable).toBe(false)
  })

  test('M-06 without trust a forwarding header means nothing', () => {
    const headers = { 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' }
    expect(seen({ encrypted: false, headers })).toEqual({ scheme: 'http', address: '203.0.113.7', acceptable: false })
  })
})

describe('proxies', () => {
  const proxied = (xff: string | string[] | undefined, proto: string | string[] | undefined, trustProxy: number) => {
    const headers = { 'x-forwarded-for': xff, 'x-forwarded-proto': proto }
    const { scheme, address } = seen({ encrypted: false, remoteAddress: '10.0.0.1', headers }, trustProxy)
    return [scheme, address]
  }

  test('M-06 L-06 the client is whom the outermost of our proxies saw, whatever the client has put before', () => {
    expect(proxied('198.51.100.1', 'https', 1)).toEqual(['https', '198.51.100.1'])
    expect(proxied('1.1.1.1, 198.51.100.1', 'https', 1)).toEqual(['https', '198.51.100.1'])
    expect(proxied('1.1.1.1, 198.51.100.1, 10.0.0.2', 'http, https, http', 2)).toEqual(['https', '198.51.100.1'])
    expect(proxied(['1.1.1.1', '198.51.100.1', '10.0.0.2'], 'https', 2)).toEqual(['https', '198.51.100.1'])
  })

  test('ports and brackets are taken off', () => {
    expect(proxied('198.51.100.1:1234', 'https', 1)).toEqual(['https', '198.51.100.1'])
    expect(proxied('[2001:db8::1]:1234', 'HTTPS', 1)).toEqual(['https', '2001:db8::1'])
    expect(proxied('2001:db8::1', 'https', 1)).toEqual(['https', '2001:db8::1'])
  })

  test('a request that came past the proxies is judged by its socket', () => {
    expect(proxied(undefined, undefined, 1)).toEqual(['http', '10.0.0.1'])
    expect(proxied('198.51.100.1', undefined, 2)).toEqual(['http', '10.0.0.1'])
  })

  test('a proxy that hides the client leaves no address to count by', () => {
    expect(proxied('unknown', 'https', 1)).toEqual(['https', null])
  })

  test('plain http through a proxy on the same machine is still plain http', () => {
    const headers = { 'x-forwarded-for': '198.51.100.1', 'x-forwarded-proto': 'http' }
    expect(seen({ encrypted: false, remoteAddress: '127.0.0.1', headers }, 1).acceptable).toBe(false)
  })

  test('trustProxy is a number of hops', () => {
    const { tokens } = world()
    const accessToken = legibleAccessTokens()
    for (const trustProxy of [true, -1, 1.5, '1', NaN] as never[]) {
      expect(() => refreshEndpoint(tokens, { accessToken, clients: CLIENTS, trustProxy })).toThrow(MisuseError)
      expect(() => logoutEndpoint(tokens, { cookie: true, trustProxy })).toThrow(MisuseError)
      expect(() => revocationEndpoint(tokens, { clients: CLIENTS, trustProxy })).toThrow(MisuseError)
    }
  })
})

describe('addresses as buckets', () => {
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
  ])('%s counts as %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })

  test('all addresses of one /64 share a bucket, however they are written', () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.ipV4(), (v6, v4) => {
        expect(networkOf(v6)).toMatch(/^([0-9a-f]{1,4}:){4}:\/64$|^\d+\.\d+\.\d+\.\d+$/)
        expect(networkOf(`::ffff:${v4}`)).toBe(networkOf(v4))
      }),
    )
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 0xffff }), { minLength: 8, maxLength: 8 }), (groups) => {
        const text = groups.map((group) => group.toString(16))
        const other = [...text.slice(0, 4), '1', '2', '3', '4']
        expect(networkOf(text.join(':').toUpperCase())).toBe(networkOf(other.join(':')))
      }),
    )
  })
})
