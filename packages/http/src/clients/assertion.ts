import type { RefreshTokens } from '@baton/core'
import { decodeJwt, importJWK, type JWTPayload, jwtVerify } from 'jose'
import { PROOF_ALGORITHMS } from '../proof-of-possession/dpop/proof.js'
import { publicMembersOf } from '../crypto/jwk.js'
import { isJwtType } from '../crypto/jwt-type.js'
import type { ClientKey } from './jwks.js'

/** Who is to be believed, and when. */
export interface AssertionContext {
  readonly clientId: string
  /** The client's public keys. */
  readonly keys: readonly ClientKey[]
  /** The names of this server that an assertion may be addressed to. */
  readonly audience: AssertionAudience
  /** Lets an assertion work once. */
  readonly memory: Pick<RefreshTokens, 'consumeOnce'>
  /** Epoch milliseconds. */
  readonly now: number
}

export interface AssertionAudience {
  /** The only name, as the only string, unless there are others (RFC 7523bis). */
  readonly issuer: string
  /** Further names, for clients of RFC 7523 as it was; then `aud` may also be a list that holds one of them. */
  readonly others: readonly string[]
}

/** Far above what a key of 4096 bits needs. */
const MAX_LENGTH = 8192
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
/** Clocks of clients, against ours. */
const TOLERANCE_SECONDS = 30
/** An assertion is made for one request; one that is good for longer is a secret lying around, and has to be remembered. */
const MAX_LIFETIME_SECONDS = 3600

/** The client that an assertion says it is from. Nothing has been verified; null for what is no assertion. Pure, and total. */
export function assertedClient(assertion: string): string | null {
  if (assertion.length > MAX_LENGTH || !COMPACT.test(assertion)) return null
  try {
    const { iss, sub } = decodeJwt(assertion)
    return typeof sub === 'string' && sub !== '' && iss === sub ? sub : null
  } catch {
    return null
  }
}

/**
 * Claims that the client made this assertion, for this server, just now and for this one request (RFC 7523 section 3). Rejects with
 * the fault of the memory only.
 */
export async function isAssertionOf(assertion: string, context: AssertionContext): Promise<boolean> {
  const claims = await verified(assertion, context)
  if (claims === null) return false
  const { clientId, memory } = context
  const { jti, exp } = claims
  const expiresAt = Math.ceil((exp + TOLERANCE_SECONDS) * 1000)
  return memory.consumeOnce({ purpose: 'client assertion', key: JSON.stringify([clientId, jti]), expiresAt })
}

interface Claims {
  readonly jti: string
  readonly exp: number
}

async function verified(assertion: string, context: AssertionContext): Promise<Claims | null> {
  const { clientId, keys, audience, now } = context
  for (const key of keys) {
    try {
      const { payload, protectedHeader } = await jwtVerify(
        assertion,
        ({ kid, alg }) => {
          const isMeant = kid === undefined || key.kid === kid
          const isFit = key.alg === undefined || key.alg === alg
          if (!isMeant || !isFit) throw new OtherKey()
          return importJWK({ ...publicMembersOf(key) }, alg)
        },
        {
          // None of them is symmetric.
          algorithms: [...PROOF_ALGORITHMS],
          issuer: clientId,
          subject: clientId,
          currentDate: new Date(now),
          clockTolerance: TOLERANCE_SECONDS,
          requiredClaims: ['exp', 'jti', 'aud'],
        },
      )
      return isOfThisKind(protectedHeader.typ) && isAddressed(payload, audience) ? timely(payload, now) : null
    } catch {
      // Another key may fit. Whatever else goes wrong here is the assertion's fault: keys are checked when they are registered.
    }
  }
  return null
}

class OtherKey extends Error {}

/** An access token or a proof, signed by the same key, is no assertion (RFC 8725 section 3.11). */
function isOfThisKind(typ: unknown): boolean {
  return typ === undefined || isJwtType(typ, 'JWT') || isJwtType(typ, 'client-authentication+jwt')
}

/** Compared as text: an assertion for another server that calls itself almost like us must not work here. */
function isAddressed({ aud }: JWTPayload, { issuer, others }: AssertionAudience): boolean {
  if (aud === issuer) return true
  return others.length > 0 && [aud].flat().some((name) => name !== undefined && [issuer, ...others].includes(name))
}

function timely({ exp = 0, iat, jti }: JWTPayload, now: number): Claims | null {
  const seconds = now / 1000
  if (exp > seconds + MAX_LIFETIME_SECONDS + TOLERANCE_SECONDS) return null
  if (iat !== undefined && iat > seconds + TOLERANCE_SECONDS) return null
  return typeof jti === 'string' && jti !== '' ? { jti, exp } : null
}
