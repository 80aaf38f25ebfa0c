import { type Confirmation, FIRST_PARTY } from '@baton/core'
import { describe, expect, test } from 'vitest'
import {
  jwtAccessTokens,
  logoutEndpoint,
  loginEndpoint,
  revocationEndpoint,
  type StaticClient,
} from '../../src/index.js'
import { ISSUER, SIGNING_KEY } from '../app.js'
import { createProver } from '../proof-of-possession/dpop/prover.js'
import { type TestResponse, basic, CB_SECRET, fromPage, post, send, SECOND, createSetup } from '../setup.js'

const CLIENTS: readonly StaticClient[] = [
  { clientId: FIRST_PARTY },
  { clientId: 'pub' },
  { clientId: 'cb', secret: CB_SECRET },
]

/** A request that presents a token to revoke its family. `proof` is the value of the header DPoP. */
interface Attempt {
  readonly token: string
  readonly proof?: (url: string) => Promise<string>
}

/** Every endpoint that revokes a family by a token in the request, as the client `first-party`. */
const ENDPOINTS = ['POST /auth/logout', 'POST /login with the cookie', 'POST /oauth/revoke'] as const

async function createRevocationSetup() {
  const accessTokens = jwtAccessTokens({ issuer: ISSUER, audience: ISSUER, keys: [SIGNING_KEY] })
  const setup = createSetup({ accessTokens, clients: CLIENTS })
  const { tokens, clock } = setup
  const options = { rateLimit: false, now: () => clock.now } as const
  const logout = logoutEndpoint(tokens, { ...options, cookie: true })
  const revocation = revocationEndpoint(tokens, {
    ...options,
    clients: CLIENTS,
    accessTokens,
    accessTokenEndsSession: true,
  })
  const authenticate = async () => ({ subject: 'bob' })
  const login = loginEndpoint(tokens, { ...options, accessTokens, authenticate, cookie: true })
  const owner = await createProver(() => clock.now)
  const attacker = await createProver(() => clock.now)
  const proofBy = (prover: typeof owner) => (url: string) =>
    prover.prove({ claims: { htu: `https://as.example${url}` } })

  async function attempt(name: (typeof ENDPOINTS)[number], { token, proof }: Attempt): Promise<TestResponse> {
    const url = name.split(' ')[1] ?? ''
    const dpop = await proof?.(url)
    if (name === 'POST /oauth/revoke')
      return post(revocation, { client_id: FIRST_PARTY, token }, { url, headers: { dpop } })
    if (name === 'POST /auth/logout') return send(logout, fromPage(token, { url, headers: { dpop } }))
    const headers = { dpop, 'content-type': 'application/json' }
    return send(login, fromPage(token, { url, headers, body: '{}' }))
  }

  /** A family that has rotated twice: its first, its second and its current token. */
  async function family(request: { readonly clientId?: string; readonly confirmation?: Confirmation } = {}) {
    const { clientId = FIRST_PARTY, confirmation = null } = request
    const first = await setup.issue({ ...request, clientId })
    const chain = [first]
    for (let rotations = 0; rotations < 2; rotations += 1) {
      const rotated = await tokens.rotate({ refreshToken: chain.at(-1) ?? '', clientId, confirmation })
      if (!rotated.ok) throw new Error('the family did not rotate')
      chain.push(rotated.refreshToken)
      clock.now += 60 * SECOND
    }
    const isAlive = async () => (await setup.families()).length === 1
    return { chain, isAlive }
  }

  return { ...setup, accessTokens, revocation, owner, attacker, proofBy, attempt, family }
}

describe.each(ENDPOINTS)('I11: %s', (name) => {
  test.each(['pub', 'cb'])(
    'revokes no family of the client %s, whichever of its tokens is presented',
    async (clientId) => {
      const { attempt, family, events } = await createRevocationSetup()
      const { chain, isAlive } = await family({ clientId })
      for (const token of chain) await attempt(name, { token })
      expect(await isAlive()).toBe(true)
      expect(events.filter(({ type }) => type === 'revoked' || type === 'reuse')).toEqual([])
    },
  )

  test('revokes no key-bound family without a proof of its key, whichever of its tokens is presented', async () => {
    const { attempt, family, owner, attacker, proofBy, events } = await createRevocationSetup()
    const { chain, isAlive } = await family({ confirmation: owner.confirmation })
    for (const token of chain)
      for (const proof of [undefined, proofBy(attacker)])
        await attempt(name, proof === undefined ? { token } : { token, proof })
    expect(await isAlive()).toBe(true)
    expect(events.filter(({ type }) => type === 'revoked' || type === 'reuse')).toEqual([])
  })

  test.each([0, 1, 2])(
    'revokes the family by its token of generation %i, with its client and its key',
    async (generation) => {
      const { attempt, family, owner, proofBy, events } = await createRevocationSetup()
      for (const bound of [{}, { confirmation: owner.confirmation }]) {
        const { chain, isAlive } = await family(bound)
        const proof = 'confirmation' in bound ? { proof: proofBy(owner) } : {}
        await attempt(name, { token: chain[generation] ?? '', ...proof })
        expect(await isAlive()).toBe(false)
      }
      expect(events.map(({ type }) => type)).not.toContain('reuse')
    },
  )
})

test('keeps the cookie of a key-bound session at a logout without a proof, and expires the cookie of another client', async () => {
  const { attempt, family, owner } = await createRevocationSetup()
  const bound = await family({ confirmation: owner.confirmation })
  const unproven = await attempt('POST /auth/logout', { token: bound.chain[2] ?? '' })
  expect([unproven.status, unproven.body.error, unproven.all('set-cookie')]).toEqual([400, 'invalid_dpop_proof', []])
  const foreign = await family({ clientId: 'pub' })
  const other = await attempt('POST /auth/logout', { token: foreign.chain[2] ?? '' })
  expect([other.status, other.all('set-cookie').length]).toEqual([204, 2])
})

test('revokes an unbound session despite an invalid proof', async () => {
  const { attempt, family } = await createRevocationSetup()
  for (const name of ['POST /auth/logout', 'POST /oauth/revoke'] as const) {
    const { chain, isAlive } = await family()
    expect((await attempt(name, { token: chain[2] ?? '', proof: async () => 'bad' })).status).toBeLessThan(300)
    expect(await isAlive()).toBe(false)
  }
})

test('revokes the session of a key-bound access token only with a proof of that key', async () => {
  const { tokens, accessTokens, clock, revocation, owner, attacker, families } = await createRevocationSetup()
  const { family } = await tokens.issue({ subject: 'alice', clientId: 'pub' })
  const grant = { family, scope: '', audience: [], claims: {}, now: clock.now, maxLifetimeSeconds: 900 }
  const minted = await accessTokens.mint({ ...grant, confirmation: owner.confirmation })
  const revoke = (dpop: string | undefined) =>
    post(revocation, { client_id: 'pub', token: minted.accessToken }, { headers: { dpop } })
  for (const dpop of [undefined, await attacker.prove()]) expect((await revoke(dpop)).status).toBe(400)
  expect(await families()).toHaveLength(1)
  expect((await revoke(await owner.prove())).status).toBe(200)
  expect(await families()).toEqual([])
})

test('revokes the session of an authenticated client without a proof', async () => {
  const { tokens, accessTokens, clock, revocation, owner, families } = await createRevocationSetup()
  const { family } = await tokens.issue({ subject: 'alice', clientId: 'cb' })
  const grant = { family, scope: '', audience: [], claims: {}, now: clock.now, maxLifetimeSeconds: 900 }
  const minted = await accessTokens.mint({ ...grant, confirmation: owner.confirmation })
  const headers = { authorization: basic('cb', CB_SECRET) }
  expect((await post(revocation, { token: minted.accessToken }, { headers })).status).toBe(200)
  expect(await families()).toEqual([])
})
