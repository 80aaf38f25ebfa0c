import { createRefreshTokens } from '@baton/core'
import { type AccessTokens, generateSigningKey, jwtAccessTokens, sealedAccessTokens } from '@baton/http'
import { memoryStore } from '@baton/store-memory'
import { inParallel } from '../subject.js'

export const ISSUER = 'https://login.example'
export const AUDIENCE = 'https://api.example'

const issuing = { issuer: ISSUER, audience: AUDIENCE }

/** The tokens of all rows: ES256 JWTs of one key, and sealed tokens. */
export function createAccessTokens() {
  return {
    jwt: jwtAccessTokens({ ...issuing, keys: [generateSigningKey('ES256')] }),
    sealed: sealedAccessTokens({ ...issuing, secrets: ['benchmarks only: thirty-two bytes and more'] }),
  }
}

/** Issues different access tokens for one session. */
export async function issueAccessTokens(accessTokens: AccessTokens, count: number): Promise<readonly string[]> {
  const tokens = createRefreshTokens({ store: memoryStore(), secrets: ['benchmarks only: thirty-two bytes and more'] })
  const { family } = await tokens.issue({ subject: 'user-1', clientId: 'web', scope: 'orders:read orders:write' })
  const grant = { family, scope: family.scope, audience: [], claims: {}, confirmation: null, maxLifetimeSeconds: 900 }
  return inParallel(count, async () => (await accessTokens.mint({ ...grant, now: Date.now() })).accessToken)
}
