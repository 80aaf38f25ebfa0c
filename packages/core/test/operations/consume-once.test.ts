import { describe, expect, it } from 'vitest'
import { MINUTE, SECOND, START, createSetup } from '../setup.js'

const REQUEST = { purpose: 'test', key: 'key', expiresAt: START + MINUTE }

describe('consumeOnce', () => {
  it('returns true to one of fifty concurrent callers on different instances', async () => {
    const setup = createSetup()
    const instances = Array.from({ length: 50 }, () => setup.instance())
    const results = await Promise.all(instances.map((tokens) => tokens.consumeOnce(REQUEST)))
    expect(results.filter(Boolean)).toHaveLength(1)
    expect(await setup.tokens.consumeOnce(REQUEST)).toBe(false)
  })

  it('returns true to the first caller and false to the second if the driver executes the command twice', async () => {
    const setup = createSetup()
    setup.store.executeTwice(['claimOnce'])
    expect(await setup.tokens.consumeOnce(REQUEST)).toBe(true)
    expect(await setup.tokens.consumeOnce(REQUEST)).toBe(false)
  })

  it('treats the same key with another purpose, and another key, as unused', async () => {
    const { tokens } = createSetup()
    expect(await tokens.consumeOnce(REQUEST)).toBe(true)
    expect(await tokens.consumeOnce({ ...REQUEST, purpose: 'other' })).toBe(true)
    expect(await tokens.consumeOnce({ ...REQUEST, key: 'keys' })).toBe(true)
    expect(await tokens.consumeOnce({ ...REQUEST, purpose: 'testk', key: 'ey' })).toBe(true)
  })

  it('returns false at the expiry without a store call, because the store may have deleted the key', async () => {
    const setup = createSetup()
    expect(await setup.tokens.consumeOnce(REQUEST)).toBe(true)
    setup.clearRecords()
    setup.advance(MINUTE)
    expect(await setup.tokens.consumeOnce(REQUEST)).toBe(false)
    expect(setup.store.calls).toEqual([])
  })

  it('returns false to the second caller after a purge by an instance whose clock is ahead', async () => {
    const setup = createSetup()
    expect(await setup.tokens.consumeOnce(REQUEST)).toBe(true)
    setup.clock.now = REQUEST.expiresAt - 1
    await setup.instance({ now: () => setup.clock.now + 30 * SECOND }).purge()
    expect(await setup.tokens.consumeOnce(REQUEST)).toBe(false)
  })

  it('K-04: stores a hash of fixed length instead of the key', async () => {
    const setup = createSetup()
    const keys: string[] = []
    const tokens = setup.instance({
      store: { ...setup.store, claimOnce: (claim, now) => (keys.push(claim.key), setup.store.claimOnce(claim, now)) },
    })
    expect(await tokens.consumeOnce({ ...REQUEST, key: 'x'.repeat(1_000_000) })).toBe(true)
    expect(await tokens.consumeOnce({ ...REQUEST, key: '' })).toBe(true)
    for (const key of keys) expect(key).toMatch(/^[A-Za-z0-9_-]{22}$/)
    // Keys that this version stored must be found by later versions.
    expect(keys[1]).toBe('K7t_MKWcs0MI1pSaJtMxTg')
  })

  it.each([
    ['fails', async () => Promise.reject(new Error('connection refused')), 'store_failed'],
    ['returns true', async () => true, 'store_broken'],
    ['returns an empty string', async () => '', 'store_broken'],
  ])('throws a StoreError if the store %s', async (_name, remember, code) => {
    const setup = createSetup()
    const tokens = setup.instance({ store: { ...setup.store, claimOnce: remember as never } })
    await expect(tokens.consumeOnce(REQUEST)).rejects.toMatchObject({ name: 'StoreError', code })
    expect(setup.eventTypes()).toEqual(['fault'])
  })
})
