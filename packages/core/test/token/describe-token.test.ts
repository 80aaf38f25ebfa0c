import { describe, expect, it } from 'vitest'
import { describeToken } from '../../src/index.js'
import { NEW_SECRET, OLD_SECRET, SECOND, START, expectOk, createSetup } from '../setup.js'

describe('describeToken', () => {
  it('describes a token without the store and returns no secret part', async () => {
    const setup = createSetup()
    const { refreshToken, family } = await setup.tokens.issue({ subject: 'alice', confirmation: { jkt: 'mine' } })
    const expected = { familyId: family.id, generation: 0, createdAt: START, bound: true }
    expect(describeToken(refreshToken)).toMatchObject({ ...expected, authentic: null })
    expect(describeToken(refreshToken, { secrets: [NEW_SECRET, OLD_SECRET] })).toMatchObject({ authentic: true })
    expect(describeToken(refreshToken, { secrets: [NEW_SECRET] })).toMatchObject({ ...expected, authentic: false })
    const description = JSON.stringify(describeToken(refreshToken, { secrets: [OLD_SECRET] }))
    for (let at = 4; at < refreshToken.length - 16; at += 4)
      expect(description).not.toContain(refreshToken.slice(at, at + 16))
  })

  it('returns the generation of a token even if its family is revoked', async () => {
    const setup = createSetup()
    const { refreshToken } = await setup.tokens.issue({ subject: 'alice' })
    setup.advance(SECOND)
    const next = expectOk(await setup.tokens.rotate({ refreshToken })).refreshToken
    await setup.tokens.revoke({ refreshToken })
    expect(describeToken(next)).toMatchObject({ generation: 1, createdAt: START, bound: false })
  })

  it('detects a forged token by its tag if secrets are given', async () => {
    const setup = createSetup()
    const { refreshToken } = await setup.tokens.issue({ subject: 'alice' })
    const forged = refreshToken.slice(0, -1) + (refreshToken.endsWith('A') ? 'B' : 'A')
    expect(describeToken(forged)).toMatchObject({ authentic: null })
    expect(describeToken(forged, { secrets: [OLD_SECRET] })).toMatchObject({ authentic: false })
  })

  it.each(['', 'rubbish', 'brt_', 'eyJhbGciOiJIUzI1NiJ9.e30.c2ln'])(
    'returns null for %s, which is not a token of Baton',
    (text) => {
      expect(describeToken(text)).toBeNull()
    },
  )

  it('recognizes tokens by their prefix', async () => {
    const setup = createSetup({ tokenPrefix: 'app_' })
    const { refreshToken } = await setup.tokens.issue({ subject: 'alice' })
    expect(describeToken(refreshToken)).toBeNull()
    expect(describeToken(refreshToken, { tokenPrefix: 'app_' })).not.toBeNull()
  })
})
