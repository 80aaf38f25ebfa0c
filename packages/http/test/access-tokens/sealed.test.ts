import { ConfigurationError } from '@baton/core'
import { describe, expect, it } from 'vitest'
import {
  type AccessTokenGrant,
  authorizationCodes,
  sealedAccessTokens,
  type SealedAccessTokensOptions,
} from '../../src/index.js'
import { createApp, ISSUER } from '../app.js'

/** Public test secrets. */
const [SECRET, OTHER] = [
  'a secret of access tokens in a test, 32 bytes',
  'another secret of access tokens, 32 bytes or so',
]
const API = 'https://api.example'

async function sealed(options: Partial<SealedAccessTokensOptions> = {}) {
  const { tokens, clock } = createApp()
  const accessTokens = sealedAccessTokens({ issuer: ISSUER, audience: API, secrets: [SECRET], ...options })
  const { family } = await tokens.issue({ subject: 'alice', clientId: 'web', scope: 'read' })
  const mint = async (grant: Partial<AccessTokenGrant> = {}) => {
    const { scope, audience, confirmation } = family
    const usual = { family, scope, audience, confirmation, claims: {}, now: clock.now, maxLifetimeSeconds: 9999 }
    return (await accessTokens.mint({ ...usual, ...grant })).accessToken
  }
  return {
    family,
    clock,
    mint,
    verify: (token: string, now: number) => accessTokens.verify(token, now),
    read: (token: string, now: number) => accessTokens.read(token, now),
  }
}

describe('sealed access tokens', () => {
  it('a sealed token contains the same claims as a JWT, readable only with the secret', async () => {
    const { mint, verify, clock, family } = await sealed()
    const token = await mint({ claims: { roles: ['admin'], sub: 'mallory' }, confirmation: { jkt: 'thumbprint' } })
    const claims = await verify(token, clock.now)
    expect(claims).toMatchObject({
      iss: ISSUER,
      aud: API,
      sub: 'alice',
      client_id: 'web',
      scope: 'read',
      sid: family.id,
    })
    expect(claims).toMatchObject({ roles: ['admin'], cnf: { jkt: 'thumbprint' } })
    expect((claims?.exp ?? 0) - (claims?.iat ?? 0)).toBe(900)
    const bytes = Buffer.from(token, 'base64url').toString('latin1')
    for (const name of ['alice', 'read', 'admin', family.id, 'thumbprint']) expect(bytes + token).not.toContain(name)
  })

  it('S-06 A-08: a sealed token fits into an Authorization header and is unique', async () => {
    const { mint } = await sealed()
    const created = await Promise.all(Array.from({ length: 500 }, () => mint()))
    for (const token of created) expect(token).toMatch(/^bat_[A-Za-z0-9_-]+$/)
    expect(new Set(created).size).toBe(500)
  })

  it('X-05 X-06: a sealed token expires at exp and no later than its family', async () => {
    const { mint, verify, clock } = await sealed()
    const token = await mint()
    clock.now = Math.floor(clock.now / 1000) * 1000 + 899_999
    expect(await verify(token, clock.now)).not.toBeNull()
    expect(await verify(token, clock.now + 1)).toBeNull()
    const short = await mint({ maxLifetimeSeconds: 30 })
    expect(await verify(short, clock.now + 30_000)).toBeNull()
  })

  it('a sealed token has exactly one valid spelling, and any changed byte is rejected', async () => {
    const { mint, read, clock } = await sealed()
    const token = await mint()
    const again = [`${token}=`, ` ${token}`, `${token}\n`, token.replace('bat_', ''), token.replace('bat_', 'brt_')]
    for (const text of ['', 'bat_', ...again]) expect(await read(text, clock.now), text).toBeNull()
    for (let index = 4; index < token.length; index += 1) {
      const changed = token.slice(0, index) + (token[index] === 'A' ? 'B' : 'A') + token.slice(index + 1)
      expect(await read(changed, clock.now)).toBeNull()
      expect(await read(token.slice(0, index), clock.now)).toBeNull()
    }
    expect(await read(`bat_${'A'.repeat(1 << 20)}`, clock.now)).toBeNull()
  })

  it('a token is sealed with the first secret and opened with any secret of the list', async () => {
    const [before, both, after] = [
      await sealed({ secrets: [SECRET] }),
      await sealed({ secrets: [OTHER, SECRET] }),
      await sealed({ secrets: [OTHER] }),
    ]
    const [old, fresh] = [await before.mint(), await both.mint()]
    for (const token of [old, fresh]) expect(await both.verify(token, both.clock.now)).not.toBeNull()
    expect(await after.verify(fresh, after.clock.now)).not.toBeNull()
    expect(await after.verify(old, after.clock.now)).toBeNull()
    expect(await before.verify(fresh, before.clock.now)).toBeNull()
  })

  it('B-05: accepts a sealed token for one audience and issuer, and introspection reads any audience', async () => {
    const { mint, verify, read, clock } = await sealed()
    const elsewhere = await mint({ audience: ['https://other.example'] })
    const everywhere = await mint({ audience: ['https://other.example', API] })
    expect(await verify(elsewhere, clock.now)).toBeNull()
    expect(await verify(everywhere, clock.now)).toMatchObject({ aud: ['https://other.example', API] })
    expect(await read(elsewhere, clock.now)).toMatchObject({ aud: 'https://other.example' })
    const other = await sealed({ issuer: 'https://other.example' })
    expect(await other.verify(await mint(), clock.now)).toBeNull()
    expect(await other.read(await mint(), clock.now)).toBeNull()
  })

  it('R-11: rejects an authorization code as a sealed token under the same secret', async () => {
    const { tokens, clock } = createApp()
    const codes = authorizationCodes(tokens, { issuer: 'https://login.example', secrets: [SECRET] })
    const code = codes.issue({ subject: 'a', clientId: 'web', redirectUri: null, codeChallenge: 'x'.repeat(43) })
    const { read, mint } = await sealed()
    for (const text of [code, code.replace(/^bac_/, 'bat_')]) expect(await read(text, clock.now)).toBeNull()
    for (const text of [await mint(), (await mint()).replace(/^bat_/, 'bac_')]) expect(codes.open(text)).toBeNull()
  })
})

it('rejects invalid options without a secret in the message', () => {
  const right = { issuer: ISSUER, audience: API, secrets: [SECRET] }
  const wrong: object[] = [
    { secrets: [] },
    { secrets: ['short'] },
    { secrets: [undefined] },
    { secrets: SECRET },
    { secrets: [SECRET, SECRET] },
    { issuer: 'x' },
    { audience: '' },
    { lifetimeSeconds: 0 },
    { secret: SECRET },
  ]
  for (const change of wrong) {
    const make = () => sealedAccessTokens({ ...right, ...change })
    expect(make, JSON.stringify(change)).toThrow(ConfigurationError)
    expect(make).not.toThrow(SECRET)
  }
})
