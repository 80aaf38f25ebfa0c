import { describe, expect, it } from 'vitest'
import {
  distinctResources,
  includesResource,
  isSameResource,
  narrowAudience,
  normalizeResource,
} from '../../src/model/resource.js'

describe('isSameResource', () => {
  it.each([
    ['an empty path', 'https://api.example', 'https://api.example/'],
    ['an empty path before a query', 'https://api.example?a=1', 'https://api.example/?a=1'],
    ['the case of the scheme', 'HTTPS://api.example/mcp', 'https://api.example/mcp'],
    ['the case of the host', 'https://API.Example/mcp', 'https://api.example/mcp'],
    ['the default port of https', 'https://api.example:443/mcp', 'https://api.example/mcp'],
    ['the default port of http', 'http://127.0.0.1:80', 'http://127.0.0.1/'],
    ['an empty port', 'https://api.example:/', 'https://api.example/'],
    ['the default port after an IPv6 address', 'https://[2001:DB8::1]:443', 'https://[2001:db8::1]/'],
    ['all of them at once', 'HTTPS://API.example:443', 'https://api.example/'],
    ['the case of the host of another scheme', 'api://Orders/v1', 'api://orders/v1'],
  ])('ignores %s', (_difference, one, other) => {
    expect(isSameResource(one, other)).toBe(true)
    expect(isSameResource(other, one)).toBe(true)
  })

  it.each([
    ['a trailing slash after a path', 'https://api.example/mcp', 'https://api.example/mcp/'],
    ['the case of the path', 'https://api.example/mcp', 'https://api.example/MCP'],
    ['the query', 'https://api.example/', 'https://api.example/?a=1'],
    ['an empty query', 'https://api.example/', 'https://api.example/?'],
    ['a fragment', 'https://api.example/', 'https://api.example/#a'],
    ['dot segments', 'https://api.example/mcp', 'https://api.example/a/../mcp'],
    ['percent-encoding', 'https://api.example/~', 'https://api.example/%7E'],
    ['the scheme', 'https://api.example/', 'http://api.example/'],
    ['another port', 'https://api.example:8443/', 'https://api.example/'],
    ['the default port of another scheme', 'http://api.example:443/', 'http://api.example/'],
    ['a dot at the end of the host', 'https://api.example./', 'https://api.example/'],
    ['the user information', 'https://Me@api.example/', 'https://me@api.example/'],
    ['white space', 'https://api.example/', ' https://api.example/'],
    ['a backslash', 'https://api.example/', 'https:\\\\api.example/'],
    ['another spelling of an IPv4 address', 'http://127.0.0.1/', 'http://2130706433/'],
    ['a character outside ASCII with an ASCII lower case', 'https://kilo.example/', 'https://\u212Ailo.example/'],
    ['the case of a name', 'my-api', 'My-API'],
    ['the case of a URN', 'urn:example:api', 'urn:example:API'],
    ['a slash after a name', 'my-api', 'my-api/'],
  ])('does not ignore %s', (_difference, one, other) => {
    expect(isSameResource(one, other)).toBe(false)
    expect(isSameResource(other, one)).toBe(false)
  })

  it('takes linear time', () => {
    const long = `https://${':'.repeat(100_000)}${'@'.repeat(100_000)}`
    const before = performance.now()
    normalizeResource(long)
    expect(performance.now() - before).toBeLessThan(1000)
  })
})

describe('lists of resources', () => {
  it('keeps the first spelling of each resource', () => {
    expect(distinctResources(['https://One.example', 'https://one.example/', 'my-api', 'My-API'])).toEqual([
      'https://One.example',
      'my-api',
      'My-API',
    ])
  })

  it('finds a resource in another spelling', () => {
    expect(includesResource(['https://one.example', 'my-api'], 'https://ONE.example:443/')).toBe(true)
    expect(includesResource(['https://one.example', 'my-api'], 'https://two.example')).toBe(false)
  })
})

describe('narrowAudience', () => {
  const granted = ['https://one.example', 'https://two.example/', 'my-api']

  it.each([
    ['keeps the grant for an empty request', [], granted],
    ['returns the spelling of the grant', ['HTTPS://two.example:443'], ['https://two.example/']],
    [
      'returns the order of the grant, each resource once',
      ['my-api', 'https://ONE.example', 'my-api'],
      ['https://one.example', 'my-api'],
    ],
    ['rejects a resource that was not granted', ['https://one.example', 'https://three.example'], null],
    ['rejects a fragment', ['https://one.example/#a'], null],
    ['rejects a relative reference', ['/'], null],
    ['rejects an empty value', [''], null],
    ['rejects what is not a string', [1], null],
  ])('%s', (_name, requested, expected) => {
    expect(narrowAudience(requested, { granted, defaultAudience: 'https://default.example' })).toEqual(expected)
  })

  it('rejects a fragment even if the grant has it', () => {
    const grant = { granted: ['https://one.example/#a'], defaultAudience: undefined }
    expect(narrowAudience(['https://one.example/#a'], grant)).toBeNull()
  })

  it('counts the default audience as granted only where the grant names no resource', () => {
    const defaultAudience = 'https://api.example'
    expect(narrowAudience(['https://api.example/'], { granted: [], defaultAudience })).toEqual(['https://api.example'])
    expect(narrowAudience(['https://other.example/'], { granted: [], defaultAudience })).toBeNull()
    expect(narrowAudience(['https://api.example/'], { granted, defaultAudience })).toBeNull()
    expect(narrowAudience(['https://api.example/'], { granted: [], defaultAudience: undefined })).toBeNull()
  })
})
