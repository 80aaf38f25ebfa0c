import type { RefreshTokens } from '@baton/core'
import { decodeJwt, importJWK, type JWTPayload, jwtVerify } from 'jose'
import { PROOF_ALGORITHMS } from '../proof-of-possession/dpop/proof.js'
import { pickPublicMembers } from '../crypto/jwk.js'
import { isJwtType } from '../crypto/jwt-type.js'
import type { ClientKey } from './jwks.js'

/** What an assertion is verified against. */
export interface AssertionContext {
  readonly clientId: string
  /** The client's public keys. */
  readonly keys: readonly ClientKey[]
  /** The accepted values of `aud`. */
  readonly audience: AssertionAudience
  /** Accepts an assertion only once. */
  readonly oneTimeKeys: Pick<RefreshTokens, 'consumeOnce'>
  /** Epoch milliseconds. */
  readonly now: number
}

export interface AssertionAudience {
  /** The only accepted value, as a string, unless there are others (draft-ietf-oauth-rfc7523bis). */
  readonly issuer: string
  /** Further accepted values, for clients of RFC 7523 before its revision. `aud` may then be a list with one of them. */
  readonly others: readonly string[]
}

/** An assertion with an RSA key of 4096 bits is much shorter. */
const MAX_LENGTH = 8192
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
/** The accepted skew of client clocks. */
const TOLERANCE_SECONDS = 30
/** An assertion is made for one request, and its `jti` must be stored until it expires. */
const MAX_LIFETIME_SECONDS = 3600

/** Returns the client id in an unverified assertion, or null for a text that is not an assertion. */
export function parseAssertedClient(assertion: string): string | null {
  if (assertion.length > MAX_LENGTH || !COMPACT.test(assertion)) return null
  try {
    const { iss, sub } = decodeJwt(assertion)
    return typeof sub === 'string' && sub !== '' && iss === sub ? sub : null
  } catch {
    return null
  }
}

/**
 * Returns true if the client signed this assertion for this server, it has not expired, and it was not used before (RFC 7523 section 3).
 * Rejects only if `oneTimeKeys` does.
 */
export async function verifyAssertion(assertion: string, context: AssertionContext): Promise<boolean> {
  const claims = await verifyClaims(assertion, context)
  if (claims === null) return false
  const { clientId, oneTimeKeys } = context
  const { jti, exp } = claims
  const expiresAt = Math.ceil((exp + TOLERANCE_SECONDS) * 1000)
  return oneTimeKeys.consumeOnce({ purpose: 'client assertion', key: JSON.stringify([clientId, jti]), expiresAt })
}

interface Claims {
  readonly jti: string
  readonly exp: number
}

async function verifyClaims(assertion: string, context: AssertionContext): Promise<Claims | null> {
  const { clientId, keys, audience, now } = context
  for (const key of keys) {
    try {
      const { payload, protectedHeader } = await jwtVerify(
        assertion,
        ({ kid, alg }) => {
          const hasKid = kid === undefined || key.kid === kid
          const hasAlg = key.alg === undefined || key.alg === alg
          if (!hasKid || !hasAlg) throw new OtherKey()
          return importJWK({ ...pickPublicMembers(key) }, alg)
        },
        {
          algorithms: [...PROOF_ALGORITHMS],
          issuer: clientId,
          subject: clientId,
          currentDate: new Date(now),
          clockTolerance: TOLERANCE_SECONDS,
          requiredClaims: ['exp', 'jti', 'aud'],
        },
      )
      return isAssertionType(protectedHeader.typ) && isAddressed(payload, audience) ? checkTimes(payload, now) : null
    } catch {
      // Another key may match. Only the assertion can cause an error here: the keys were validated.
    }
  }
  return null
}

class OtherKey extends Error {}

/** An access token or a proof that the same key signed is not an assertion (RFC 8725 section 3.11). */
function isAssertionType(typ: unknown): boolean {
  return typ === undefined || isJwtType(typ, 'JWT') || isJwtType(typ, 'client-authentication+jwt')
}

/** Compared as text: an assertion for another server with a similar name must be rejected. */
function isAddressed({ aud }: JWTPayload, { issuer, others }: AssertionAudience): boolean {
  if (aud === issuer) return true
  return others.length > 0 && [aud].flat().some((name) => name !== undefined && [issuer, ...others].includes(name))
}

function checkTimes({ exp = 0, iat, jti }: JWTPayload, now: number): Claims | null {
  const seconds = now / 1000
  if (exp > seconds + MAX_LIFETIME_SECONDS + TOLERANCE_SECONDS) return null
  if (iat !== undefined && iat > seconds + TOLERANCE_SECONDS) return null
  return typeof jti === 'string' && jti !== '' ? { jti, exp } : null
}
