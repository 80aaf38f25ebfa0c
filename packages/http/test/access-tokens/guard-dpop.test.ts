import { describe, expect, it } from 'vitest'
import {
  accessTokenCacheStats,
  accessTokenGuard,
  type AccessTokenGuardOptions,
  sessionsEndpoint,
} from '../../src/index.js'
import { createApp, headerOf, headersOf, jsonOf, request, type RequestParts } from '../app.js'
import { parseChallenges } from '../challenge.js'
import { ath, createProver, type ProofChanges } from '../proof-of-possession/dpop/prover.js'
import { AT_RESOURCE, JKT } from '../proof-of-possession/dpop/rfc9449.js'

const NONCE = { secrets: ['a secret of nonces in a test, over 32 bytes'], required: true }
const ME = 'https://app.example/api/me'
const ALGORITHMS = 'ES256 Ed25519 EdDSA ES384 PS256 RS256'

interface ApiOptions extends Partial<AccessTokenGuardOptions> {
  readonly asksStore?: boolean
}

/** An API behind a guard, and a client with an access token that is bound to its key. */
async function api({ asksStore = false, ...options }: ApiOptions = {}) {
  const app = createApp()
  const { now, onError } = app.shared
  const prover = await createProver(now)
  const session = await app.signIn('alice', { scope: 'read', confirmation: prover.confirmation })
  const live = asksStore ? { checkSession: app.tokens } : {}
  const guard = accessTokenGuard({ accessTokens: app.accessTokens, now, onError, ...live, ...options })
  const { accessToken } = session
  const prove = ({ claims = {}, header = {} }: ProofChanges = {}) =>
    prover.prove({ claims: { htm: 'GET', htu: ME, ath: ath(accessToken), ...claims }, header })

  const ask = ({ headers = {}, ...parts }: RequestParts = {}) =>
    guard(request({ url: '/api/me', ...parts, headers: { authorization: `DPoP ${accessToken}`, ...headers } }))

  async function rejection(parts: RequestParts) {
    const outcome = await ask(parts)
    if (outcome.ok) throw new Error('the guard let it through')
    const { response } = outcome
    return { response, status: response.status, challenges: parseChallenges(headerOf(response, 'www-authenticate')) }
  }

  return { ...app, ...session, ...prover, guard, prove, ask, rejection }
}

describe('access tokens bound to a key', () => {
  it('B-06: accepts a bound token with a matching proof and the scheme DPoP in any case', async () => {
    const { ask, prove, accessToken, jkt } = await api()
    for (const scheme of ['DPoP', 'dpop', 'DPOP']) {
      const headers = { authorization: `${scheme} ${accessToken}`, dpop: await prove() }
      const outcome = await ask({ url: '/api/me?page=2', headers })
      expect(outcome).toMatchObject({ ok: true, claims: { sub: 'alice', cnf: { jkt } }, headers: [] })
    }
  })

  it('B-06: rejects a cached token without a valid new proof', async () => {
    const { ask, prove, rejection, bearer, accessTokens } = await api({ asksStore: true })
    const dpop = await prove()
    expect(await ask({ headers: { dpop } })).toMatchObject({ ok: true })
    const foreign = await createProver(() => Date.now())
    for (const headers of [{}, { dpop }, { authorization: bearer }, { dpop: await foreign.prove() }])
      expect((await rejection({ headers })).status).toBe(401)
    expect(await ask({ headers: { dpop: await prove() } })).toMatchObject({ ok: true })
    expect(accessTokenCacheStats(accessTokens)).toMatchObject({ hits: 5, misses: 1 })
  })

  it('B-06: rejects a bound token as a bearer token, with or without a proof', async () => {
    const { rejection, prove, bearer } = await api()
    for (const headers of [{ authorization: bearer }, { authorization: bearer, dpop: await prove() }]) {
      const { status, challenges } = await rejection({ headers })
      expect([status, challenges]).toMatchObject([401, { DPoP: { error: 'invalid_token', algs: ALGORITHMS } }])
      expect(challenges).not.toHaveProperty('Bearer')
    }
  })

  it('B-06: rejects a bound token without a proof or with an invalid proof', async () => {
    const { rejection, prove, clock } = await api()
    const good = await prove()
    const bad: (string | readonly string[])[] = [
      [],
      '',
      'x',
      [good, good],
      await prove({ claims: { ath: undefined } }),
      await prove({ claims: { ath: ath('another token') } }),
      await prove({ claims: { htm: 'POST' } }),
      await prove({ claims: { htu: 'https://app.example/api/you' } }),
      await prove({ claims: { htu: 'https://evil.example/api/me' } }),
      await prove({ claims: { iat: clock.now / 1000 - 600 } }),
      await prove({ header: { typ: 'JWT' } }),
    ]
    for (const dpop of bad) {
      const { status, response, challenges } = await rejection({ headers: { dpop } })
      expect([status, challenges['DPoP']]).toMatchObject([
        401,
        { realm: 'api', error: 'invalid_dpop_proof', algs: ALGORITHMS },
      ])
      expect(jsonOf(response).error).toBe('invalid_dpop_proof')
    }
  })

  it('B-06: rejects a bound token with a proof of another key', async () => {
    const { rejection, accessToken, shared } = await api()
    const attacker = await createProver(shared.now)
    const dpop = await attacker.prove({ claims: { htm: 'GET', htu: ME, ath: ath(accessToken) } })
    expect(await rejection({ headers: { dpop } })).toMatchObject({
      status: 401,
      challenges: { DPoP: { error: 'invalid_token' } },
    })
  })

  it('B-03: applies all other checks to a bound token with a valid proof', async () => {
    const { rejection, prove, clock, accessToken } = await api({ scope: 'delete' })
    const narrow = await rejection({ headers: { dpop: await prove() } })
    expect(narrow).toMatchObject({
      status: 403,
      challenges: { DPoP: { error: 'insufficient_scope', scope: 'delete' } },
    })
    for (const authorization of [`DPoP ${accessToken}x`, 'DPoP x', 'DPoP', 'DPoP a b'])
      expect(await rejection({ headers: { authorization } })).toMatchObject({
        challenges: { DPoP: { error: 'invalid_token' } },
      })
    const both = { authorization: `DPoP ${accessToken}, Bearer ${accessToken}` }
    expect((await rejection({ headers: both })).status).toBe(400)
    clock.now += 900_000
    expect(await rejection({ headers: { dpop: await prove() } })).toMatchObject({
      challenges: { DPoP: { error: 'invalid_token' } },
    })
  })

  it('D-11: accepts the example of RFC 9449', async () => {
    const { accessToken, iat, proof } = AT_RESOURCE
    const verify = async (token: string) => (token === accessToken ? { sub: 'x', cnf: { jkt: JKT } } : null)
    const guard = accessTokenGuard({
      accessTokens: verify,
      now: () => iat * 1000,
      publicUrl: 'https://resource.example.org',
    })
    const headers = { authorization: `DPoP ${accessToken}`, dpop: proof }
    expect(await guard(request({ url: '/protectedresource', headers }))).toMatchObject({ ok: true })
  })
})

describe('access tokens bound to no key or to an unknown kind of key', () => {
  it('B-06: rejects an unbound token in the scheme DPoP', async () => {
    const { rejection, prove, signIn } = await api()
    const { accessToken } = await signIn('bob')
    const dpop = await prove({ claims: { ath: ath(accessToken) } })
    const { status, challenges } = await rejection({ headers: { authorization: `DPoP ${accessToken}`, dpop } })
    expect([status, challenges['DPoP']?.['error']]).toEqual([401, 'invalid_token'])
  })

  it('B-06: rejects a token with an unknown cnf member', async () => {
    for (const cnf of [null, 'x', {}, { jkt: 1 }, { kid: 'x' }, { jkt: 'x', kid: 'x' }, { jwk: {} }, []]) {
      const { guard } = await api({ accessTokens: async () => ({ sub: 'a', cnf }) as never })
      for (const scheme of ['Bearer', 'DPoP'])
        expect(await guard(request({ headers: { authorization: `${scheme} x` } })), JSON.stringify(cnf)).toMatchObject({
          ok: false,
          response: { status: 401 },
        })
    }
  })
})

describe('missing credentials', () => {
  it('B-02: challenges for both schemes in one header without an error if credentials are missing', async () => {
    const { guard } = await api({ scope: 'read', dpop: {} })
    const outcome = await guard(request({ url: '/api/me' }))
    if (outcome.ok) throw new Error('the guard let it through')
    const [header, ...others] = headersOf(outcome.response, 'www-authenticate')
    expect(others).toEqual([])
    expect(parseChallenges(header)).toEqual({
      Bearer: { realm: 'api', scope: 'read' },
      DPoP: { realm: 'api', scope: 'read', algs: ALGORITHMS },
    })
  })
})

describe('replayed proofs', () => {
  it('D-09: accepts a proof once if the guard uses the store, and until it is too old otherwise', async () => {
    for (const asksStore of [true, false]) {
      const { prove, ask, clock } = await api({ asksStore })
      const headers = { dpop: await prove() }
      expect(await ask({ headers })).toMatchObject({ ok: true })
      expect(await ask({ headers })).toMatchObject({ ok: !asksStore })
      clock.now += 61_000
      expect(await ask({ headers })).toMatchObject({ ok: false })
    }
  })

  it('D-09: stores a proof only together with a valid access token and its key', async () => {
    const { prove, ask, accessToken, shared, outage } = await api({ asksStore: true })
    const attacker = await createProver(shared.now)
    outage.of = new Set(['claimOnce'])
    const stolen = await attacker.prove({ claims: { htm: 'GET', htu: ME, ath: ath(accessToken) } })
    const forged = { authorization: 'DPoP x.y.z', dpop: await prove({ claims: { ath: ath('x.y.z') } }) }
    for (const headers of [{ dpop: stolen }, forged])
      expect(await ask({ headers })).toMatchObject({ ok: false, response: { status: 401 } })
    const { response } = { response: undefined, ...(await ask({ headers: { dpop: await prove() } })) }
    expect(response?.status).toBe(503)
  })

  it('D-09: stores a proof for the API separately from one for the token endpoint', async () => {
    const { prove, ask } = await api({ asksStore: true })
    const claims = { jti: 'one and the same' }
    expect(await ask({ headers: { dpop: await prove({ claims }) } })).toMatchObject({ ok: true })
    const elsewhere = await prove({ claims: { ...claims, htu: `${ME}/photo` } })
    expect(await ask({ url: '/api/me/photo', headers: { dpop: elsewhere } })).toMatchObject({ ok: true })
  })
})

describe('target URL of proofs', () => {
  it('D-07 B-06: compares the proof with the configured URL instead of the Host header', async () => {
    const { ask, prove } = await api({ publicUrl: 'https://api.example/v1' })
    const stolen = await prove({ claims: { htu: 'https://evil.example/api/me' } })
    expect(await ask({ headers: { host: 'evil.example', dpop: stolen } })).toMatchObject({ ok: false })
    const dpop = await prove({ claims: { htu: 'https://api.example/v1/api/me' } })
    expect(await ask({ headers: { host: 'internal', dpop } })).toMatchObject({ ok: true })
  })

  it('D-07: uses the forwarded URL of trusted proxies only', async () => {
    for (const trustProxy of [0, 1]) {
      const { guard, prove, accessToken } = await api({ trustProxy })
      const headers = { authorization: `DPoP ${accessToken}`, dpop: await prove(), 'x-forwarded-proto': 'https' }
      const plain = { ...request({ url: '/api/me', headers }), encrypted: false }
      expect(await guard(plain)).toMatchObject({ ok: trustProxy === 1 })
    }
  })
})

describe('nonces', () => {
  it('B-07: requires a nonce in the challenge, and sends a new one with responses', async () => {
    const { rejection, ask, prove, clock } = await api({ dpop: { nonce: NONCE } })
    const challenged = await rejection({ headers: { dpop: await prove() } })
    expect(challenged).toMatchObject({
      status: 401,
      challenges: { DPoP: { error: 'use_dpop_nonce', algs: ALGORITHMS } },
    })
    const [nonce, ...others] = headersOf(challenged.response, 'dpop-nonce')
    expect(others).toEqual([])
    expect(headerOf(challenged.response, 'cache-control')).toBe('no-store')
    const outcome = await ask({ headers: { dpop: await prove({ claims: { nonce } }) } })
    const headers = [
      ['cache-control', 'no-store'],
      ['dpop-nonce', nonce],
    ]
    expect(outcome).toMatchObject({ ok: true, headers })
    clock.now += 601_000
    const { rejection: refused } = await api({ dpop: { nonce: NONCE } })
    expect(await refused({ headers: { dpop: 'bad' } })).toMatchObject({
      challenges: { DPoP: { error: 'invalid_dpop_proof' } },
    })
  })

  it('B-07: sends no nonce for bearer tokens', async () => {
    const { guard, signIn } = await api({ dpop: { nonce: NONCE } })
    const { bearer } = await signIn('bob')
    expect(await guard(request({ headers: { authorization: bearer } }))).toMatchObject({ ok: true, headers: [] })
  })

  it('B-07: sends nonces in responses of the sessions endpoint', async () => {
    const app = await api()
    const { tokens, shared, prove, accessToken } = app
    const verify = async () => ({ sub: 'alice', sid: app.family.id, cnf: { jkt: app.jkt } }) as never
    const sessions = sessionsEndpoint(tokens, {
      ...shared,
      accessTokens: verify,
      dpop: { nonce: { ...NONCE, required: false } },
    })
    const dpop = await prove({ claims: { htu: 'https://app.example/auth/sessions' } })
    const response = await sessions(
      request({ url: '/auth/sessions', headers: { authorization: `DPoP ${accessToken}`, dpop } }),
    )
    expect(response.status).toBe(200)
    for (const name of ['dpop-nonce', 'cache-control']) expect(headersOf(response, name), name).toHaveLength(1)
  })
})
