import { describe, expect, it } from 'vitest'
import { MINUTE, SECOND, START, world } from './world.js'

const REQUEST = { purpose: 'test', key: 'key', expiresAt: START + MINUTE }

describe('once', () => {
  it('is true for one of fifty callers, on whatever instance', async () => {
    const here = world()
    const instances = Array.from({ length: 50 }, () => here.instance())
    const answers = await Promise.all(instances.map((tokens) => tokens.consumeOnce(REQUEST)))
    expect(answers.filter(Boolean)).toHaveLength(1)
    expect(await here.tokens.consumeOnce(REQUEST)).toBe(false)
  })

  it('is true for the first caller whose command the driver executed twice, and false for the second all the same', async () => {
    const here = world()
    here.store.executeTwice(['claimOnce'])
    expect(await here.tokens.consumeOnce(REQUEST)).toBe(true)
    expect(await here.tokens.consumeOnce(REQUEST)).toBe(false)
  })

  it('takes the same key for another purpose, and another key, for something else', async () => {
    const { tokens } = world()
    expect(await tokens.consumeOnce(REQUEST)).toBe(true)
    expect(await tokens.consumeOnce({ ...REQUEST, purpose: 'other' })).toBe(true)
    expect(await tokens.consumeOnce({ ...REQUEST, key: 'keys' })).toBe(true)
    expect(await tokens.consumeOnce({ ...REQUEST, purpose: 'testk', key: 'ey' })).toBe(true)
  })

  it('is false at the very end, when the store may have forgotten, and asks nobody', async () => {
    const here = world()
    expect(await here.tokens.consumeOnce(REQUEST)).toBe(true)
    here.quiet()
    here.advance(MINUTE)
    expect(await here.tokens.consumeOnce(REQUEST)).toBe(false)
    expect(here.store.calls).toEqual([])
  })

  it('is false for the second caller although an instance whose clock is ahead has purged', async () => {
    const here = world()
    expect(await here.tokens.consumeOnce(REQUEST)).toBe(true)
    here.clock.now = REQUEST.expiresAt - 1
    await here.instance({ now: () => here.clock.now + 30 * SECOND }).purge()
    expect(await here.tokens.consumeOnce(REQUEST)).toBe(false)
  })

  it('K-04: keys of any length take the store no more room than short ones, and are not in it', async () => {
    const here = world()
    const keys: string[] = []
    const tokens = here.instance({
      store: { ...here.store, claimOnce: (claim, now) => (keys.push(claim.key), here.store.claimOnce(claim, now)) },
    })
    expect(await tokens.consumeOnce({ ...REQUEST, key: 'x'.repeat(1_000_000) })).toBe(true)
    expect(await tokens.consumeOnce({ ...REQUEST, key: '' })).toBe(true)
    for (const key of keys) expect(key).toMatch(/^[A-Za-z0-9_-]{22}$/)
    // What is remembered must be found again by the next version.
    expect(keys[1]).toBe('K7t_MKWcs0MI1pSaJtMxTg')
  })

  it.each([
    ['fails', async () => Promise.reject(new Error('connection refused')), 'store_failed'],
    ['answers true, as stores of old', async () => true, 'store_broken'],
    ['answers nothing', async () => '', 'store_broken'],
  ])('is a fault where the store %s', async (_name, remember, code) => {
    const here = world()
    const tokens = here.instance({ store: { ...here.store, claimOnce: remember as never } })
    await expect(tokens.consumeOnce(REQUEST)).rejects.toMatchObject({ name: 'StoreError', code })
    expect(here.typesSeen()).toEqual(['fault'])
  })
})
