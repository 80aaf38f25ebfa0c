import { importJWK, jwtVerify } from 'jose'
import { demandKnown } from '../endpoint.js'
import type { AccessTokenClaims, AccessTokenGrant, AccessTokens, MintedAccessToken } from './access-token.js'
import { checkIssuing, claimsFor, isFor, type IssuingOptions, ourClaims } from './claims.js'
import { signerOf } from './signer.js'
import { checkKeys, type PublicJwk, type SigningKey } from './signing-keys.js'

const TYPE = 'at+jwt'
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const KNOWN = ['issuer', 'audience', 'keys', 'lifetimeSeconds']

export interface JwtAccessTokensOptions extends IssuingOptions {
  /**
   * `[current, ...others]`. The first one signs, all of them verify and are published. To change keys without refusing a single
   * token, deploy `[old, new]`, once every verifier has fetched the new set `[new, old]`, and drop the old one after `lifetimeSeconds`.
   */
  readonly keys: readonly SigningKey[]
}

export interface JwtAccessTokens extends AccessTokens {
  /** The public keys (RFC 7517), to be served to resource servers. */
  jwks(): { readonly keys: readonly PublicJwk[] }
}

/**
 * Access tokens that resource servers verify by themselves (RFC 9068). Signs with a local key, and signs once at construction:
 * a key that cannot throws `ConfigurationError` then, and not after a refresh token has been consumed.
 */
export function jwtAccessTokens(options: JwtAccessTokensOptions): JwtAccessTokens {
  demandKnown(options, KNOWN)
  const issuing = checkIssuing(options)
  const { issuer, audience, lifetimeSeconds } = issuing
  const keys = checkKeys(options.keys)
  const [current] = keys
  const sign = signerOf(current, TYPE)
  const verifyingKeys = new Map(
    keys.map((key) => [key.kid, { alg: key.alg, load: once(() => importJWK(key.publicJwk, key.alg)) }]),
  )

  async function mint(grant: AccessTokenGrant): Promise<MintedAccessToken> {
    const { claims, expiresIn } = claimsFor(grant, issuing)
    return { accessToken: await sign(claims), expiresIn }
  }

  async function read(accessToken: string, now: number): Promise<AccessTokenClaims | null> {
    // Decoders forgive white space; a token has one spelling.
    if (!COMPACT.test(accessToken)) return null
    try {
      const { payload } = await jwtVerify(
        accessToken,
        async ({ kid, alg }) => {
          const key = kid === undefined ? undefined : verifyingKeys.get(kid)
          if (key?.alg !== alg) throw new UnknownKey()
          return key.load()
        },
        {
          typ: TYPE,
          issuer,
          algorithms: [...new Set(keys.map(({ alg }) => alg))],
          currentDate: new Date(now),
          requiredClaims: ['exp', 'iat', 'sub', 'jti', 'client_id', 'sid'],
        },
      )
      return ourClaims(payload)
    } catch {
      // Everything that can go wrong here is the token's fault: the keys are local and were tried at construction.
      return null
    }
  }

  return {
    issuer,
    audience,
    lifetimeSeconds,
    mint,
    async verify(accessToken, now) {
      const claims = await read(accessToken, now)
      return claims !== null && isFor(claims, [audience]) ? claims : null
    },
    read,
    jwks: () => ({ keys: keys.map(({ publicJwk }) => publicJwk) }),
  }
}

class UnknownKey extends Error {}

/** Imports a key at its first use and keeps it. */
function once<Value>(load: () => Promise<Value>): () => Promise<Value> {
  let loaded: Promise<Value> | undefined
  return () => (loaded ??= load())
}
