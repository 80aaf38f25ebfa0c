import { describe, expect, test } from 'vitest'
import { ConfigurationError } from '../../src/index.js'
import { assertClient } from '../../src/store.js'

const requirements = {
  option: 'db',
  expected: 'a connected Client',
  methods: ['query', ['end', 'close']],
}
const method = () => undefined

describe('assertClient', () => {
  const accepted: [string, object][] = [
    ['all methods', { query: method, end: method }],
    ['the other method of an alternative', { query: method, close: method }],
    ['inherited methods', Object.create({ query: method, end: method }) as object],
  ]
  test.each(accepted)('accepts a client with %s', (_what, client) => {
    expect(() => assertClient(client, requirements)).not.toThrow()
  })

  class Client {
    query = method
  }
  const rejected: [string, unknown][] = [
    ['a string', 'db://user:password@localhost'],
    ['a function', Client],
    ['undefined', undefined],
    ['null', null],
    ['42', 42],
    ['a promise; await it first', Promise.resolve({ query: method, end: method })],
    ['an object without end() or close()', { query: method }],
    ['an object without query() and end() or close()', { query: true }],
  ]
  test.each(rejected)('rejects %s', (what, client) => {
    expect(() => assertClient(client, requirements)).toThrow(
      new ConfigurationError('db', `must be a connected Client, got ${what}`),
    )
  })
})
