import { describe, expect, it } from 'vitest'
import { ConfigurationError, TEXT_LIMITS } from '../../src/index.js'
import { HOUR, START, createSetup } from '../setup.js'

const { nameBytes, scopeBytes, audienceEntries, metadataBytes, cursorBytes, madeByCoreBytes } = TEXT_LIMITS
const json = (bytes: number) => ({ a: 'x'.repeat(bytes - '{"a":""}'.length) })
const resources = (count: number, bytes: number) =>
  Array.from({ length: count }, (_, index) => `https://api.example/${String(index)}/`.padEnd(bytes, 'x'))

describe('limits of texts', () => {
  it.each([
    ['subject', { subject: '😀'.repeat(nameBytes / 4) }, { subject: `${'😀'.repeat(nameBytes / 4)}x` }],
    ['clientId', { clientId: 'x'.repeat(nameBytes) }, { clientId: 'x'.repeat(nameBytes + 1) }],
    [
      'confirmation.jkt',
      { confirmation: { jkt: 'x'.repeat(nameBytes) } },
      { confirmation: { jkt: 'x'.repeat(nameBytes + 1) } },
    ],
    ['scope', { scope: 'x'.repeat(scopeBytes) }, { scope: 'x'.repeat(scopeBytes + 1) }],
    [
      'audience',
      { audience: resources(audienceEntries, nameBytes) },
      { audience: resources(audienceEntries + 1, nameBytes) },
    ],
    ['audience', { audience: resources(1, nameBytes) }, { audience: resources(1, nameBytes + 1) }],
    ['metadata', { metadata: json(metadataBytes) }, { metadata: json(metadataBytes + 1) }],
  ])(
    'stores %s of maximum length unchanged and rejects a longer one before any store call',
    async (option, most, more) => {
      const setup = createSetup()
      const issued = await setup.tokens.issue({ subject: 'alice', ...most })
      const [stored, ...others] = [...setup.store.rows.values()]
      expect(others).toEqual([])
      expect(stored?.id).toBe(issued.family.id)
      expect(stored?.grant).toEqual(expect.objectContaining(most))
      const calls = setup.store.calls.length
      const request = { subject: 'alice', expiresInSeconds: 60, ...more }
      const issue = () => setup.tokens.issue({ subject: 'alice', ...more })
      const reserve = async () => setup.tokens.reserve(request)
      // A reservation has no confirmation. `redeem` sets it.
      for (const call of 'confirmation' in more ? [issue] : [issue, reserve]) {
        const configurationError = await call().then(
          () => null,
          (error: unknown) => error,
        )
        expect(configurationError).toBeInstanceOf(ConfigurationError)
        expect(configurationError).toMatchObject({ option })
      }
      expect(setup.store.calls).toHaveLength(calls)
    },
  )

  it('applies the limits to every other value that is stored, so that a request cannot exceed them', async () => {
    const setup = createSetup()
    const long = 'x'.repeat(nameBytes + 1)
    for (const call of [
      () => setup.tokens.list({ subject: long }),
      () => setup.tokens.list({ subject: 'alice', cursor: 'x'.repeat(cursorBytes + 1) }),
      () => setup.tokens.revokeSubject(long),
      () => setup.tokens.consumeOnce({ purpose: long, key: 'x', expiresAt: START + HOUR }),
    ])
      await expect(call()).rejects.toBeInstanceOf(ConfigurationError)
    expect(await setup.tokens.find(long)).toBeNull()
    expect(setup.store.calls).toEqual([])
    expect(setup.events).toEqual([])
  })

  it('stays within the limits for values that core generates', async () => {
    const setup = createSetup()
    const { refreshToken } = await setup.tokens.issue({ subject: 'alice' })
    await setup.tokens.rotate({ refreshToken, idempotencyKey: 'k'.repeat(255) })
    await setup.tokens.revokeSubject('alice')
    await setup.tokens.consumeOnce({ purpose: 'x', key: 'x'.repeat(100_000), expiresAt: START + HOUR })
    const [record] = [...setup.store.rows.values()]
    const { id, current, revocation } = record!
    const { verifier, nonce, keyId, retryKey } = current
    for (const text of [id, verifier, nonce, keyId, retryKey, revocation?.id])
      expect(text).toMatch(new RegExp(`^[\\x21-\\x7e]{1,${String(madeByCoreBytes)}}$`))
  })

  it.each([
    ['too long', 'x'.repeat(cursorBytes + 1)],
    ['empty', ''],
    ['with NUL', 'a\0'],
    ['undefined', undefined],
  ])(
    'throws a StoreError for a store cursor that is %s instead of returning a shortened list',
    async (_name, cursor) => {
      const setup = createSetup()
      const tokens = setup.instance({
        store: { ...setup.store, list: async () => ({ items: [], cursor: cursor as string }) },
      })
      await expect(tokens.list({ subject: 'alice' })).rejects.toMatchObject({ code: 'store_broken' })
      await expect(tokens.revokeSubject('alice')).rejects.toMatchObject({ code: 'store_broken' })
    },
  )
})
