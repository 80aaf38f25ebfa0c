import { describe, expect, it } from 'vitest'
import { createRefreshTokens } from '../../src/index.js'
import { testStore } from '../setup.js'

const NOW = Date.UTC(2030, 0, 1)
const AUTHENTICATION = { authTime: NOW - 60_000, acr: 'urn:example:two-factor', amr: ['pwd', 'otp'] }

function setup() {
  return createRefreshTokens({
    store: testStore(),
    secrets: ['a secret of at least thirty-two bytes'],
    now: () => NOW,
  })
}

describe('the authentication of the user', () => {
  it('is kept from issue through rotations', async () => {
    const tokens = setup()
    const { family, refreshToken } = await tokens.issue({ subject: 'alice', ...AUTHENTICATION })
    expect(family).toMatchObject(AUTHENTICATION)
    const first = await tokens.rotate({ refreshToken })
    expect(first).toMatchObject({ ok: true, family: AUTHENTICATION })
    expect(await tokens.find(family.id)).toMatchObject(AUTHENTICATION)
  })

  it('is kept from a reservation, also through JSON', async () => {
    const tokens = setup()
    const reserved = tokens.reserve({ subject: 'alice', expiresInSeconds: 60, ...AUTHENTICATION })
    const reservation = JSON.parse(JSON.stringify(reserved)) as typeof reserved
    expect(await tokens.redeem({ reservation, matches: true })).toMatchObject({ ok: true, family: AUTHENTICATION })
  })

  it('has no members if it is unknown', async () => {
    const tokens = setup()
    const { family } = await tokens.issue({ subject: 'alice' })
    for (const name of Object.keys(AUTHENTICATION)) expect(family).not.toHaveProperty(name)
    const reservation = tokens.reserve({ subject: 'alice', expiresInSeconds: 60 })
    const redeemed = await tokens.redeem({ reservation, matches: true })
    if (!redeemed.ok) throw new Error(redeemed.reason)
    for (const name of Object.keys(AUTHENTICATION)) expect(redeemed.family).not.toHaveProperty(name)
  })

  it.each([
    { authTime: Number.NaN },
    { authTime: '2030-01-01' },
    { acr: '' },
    { acr: 2 },
    { amr: [] },
    { amr: 'pwd' },
    { amr: [''] },
    { amr: Array.from({ length: 17 }, () => 'pwd') },
  ])('is rejected with %j', async (invalid) => {
    const [name] = Object.keys(invalid)
    const request = { subject: 'alice', ...invalid } as Parameters<ReturnType<typeof setup>['issue']>[0]
    await expect(setup().issue(request)).rejects.toThrow(`option "${String(name)}`)
  })
})
