import {
  compactVerify,
  type CryptoKey,
  errors,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from 'jose'

type Key = Awaited<ReturnType<JWTVerifyGetKey>>

/** Returns the claims of a token with a valid signature and valid claims, or null. Rejects if the token cannot be judged. */
export type JwtVerifier = (token: string, checks: JWTVerifyOptions) => Promise<JWTPayload | null>

/**
 * Creates a verifier. Nothing that a sender can choose makes it reject: malformed headers, several keys that fit, and an algorithm
 * of the list that this key cannot verify. A key function that throws, and a key that can verify none of the algorithms, do.
 */
export function createVerifier(
  source: string | Uint8Array | CryptoKey | JWTVerifyGetKey,
  algorithms: readonly string[],
): JwtVerifier {
  const key = typeof source === 'string' ? new TextEncoder().encode(source) : source
  const getKey = async (...request: Parameters<JWTVerifyGetKey>): Promise<Key> => {
    if (typeof key !== 'function') return key
    const [{ kid, typ }] = request
    // The function relies on their types (RFC 7515 sections 4.1.4 and 4.1.9).
    if (!isTextOrAbsent(kid) || !isTextOrAbsent(typ)) throw new errors.JWSInvalid('kid and typ must be text')
    return key(...request)
  }

  return async function verify(token, checks) {
    let used: Key | undefined
    const options = { ...checks, algorithms: [...algorithms] }
    try {
      const { payload } = await jwtVerify(token, async (...request) => (used = await getKey(...request)), options)
      return payload
    } catch (error) {
      if (hasCandidates(error)) return verifyWithAny(error, token, options)
      if (isAboutToken(error)) return null
      // The sender chose the algorithm. If the key can verify another one of the list, the configuration is not at fault.
      if (used !== undefined && (await canVerifyAny(used, algorithms))) return null
      throw error
    }
  }
}

/** Tries every key of the set that fits the header (a header without `kid` may fit several). */
async function verifyWithAny(
  candidates: AsyncIterable<CryptoKey>,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTPayload | null> {
  for await (const candidate of candidates) {
    try {
      return (await jwtVerify(token, candidate, options)).payload
    } catch (error) {
      if (!isAboutToken(error)) throw error
    }
  }
  return null
}

/** Returns true if a forged signature by one of the algorithms is rejected as such, and not because of the key. */
async function canVerifyAny(key: Key, algorithms: readonly string[]): Promise<boolean> {
  for (const alg of algorithms) {
    const header = Buffer.from(JSON.stringify({ alg })).toString('base64url')
    const error: unknown = await compactVerify(`${header}..AA`, key).catch((reason: unknown) => reason)
    if (codeOf(error) === errors.JWSSignatureVerificationFailed.code) return true
  }
  return false
}

/** Anything else, such as a key set that cannot be fetched, says nothing about the token. */
function isAboutToken(error: unknown): boolean {
  return ABOUT_TOKEN.has(codeOf(error))
}

function hasCandidates(error: unknown): error is AsyncIterable<CryptoKey> {
  const isIterable = typeof error === 'object' && error !== null && Symbol.asyncIterator in error
  return isIterable && codeOf(error) === errors.JWKSMultipleMatchingKeys.code
}

/** Errors are distinguished by their code, because a key set of the app may throw errors of another copy of jose. */
function codeOf(error: unknown): string {
  const hasCode = typeof error === 'object' && error !== null && 'code' in error
  return hasCode && typeof error.code === 'string' ? error.code : ''
}

const ABOUT_TOKEN: ReadonlySet<string> = new Set<string>([
  errors.JOSEAlgNotAllowed.code,
  errors.JOSENotSupported.code,
  errors.JWKSNoMatchingKey.code,
  errors.JWSInvalid.code,
  errors.JWSSignatureVerificationFailed.code,
  errors.JWTClaimValidationFailed.code,
  errors.JWTExpired.code,
  errors.JWTInvalid.code,
])

function isTextOrAbsent(value: unknown): boolean {
  return value === undefined || typeof value === 'string'
}
