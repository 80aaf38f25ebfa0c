import { createPublicKey, X509Certificate } from 'node:crypto'
import { ConfigurationError } from '@baton/core'
import { describeValue, listOf, plainObject, type Rule } from '@baton/core/options'
import { isAsymmetric, type JsonWebKey, PRIVATE_MEMBERS, pickPublicMembers } from '../crypto/jwk.js'

/** A public key of a client, as a JWK (RFC 7517). */
export interface ClientKey {
  readonly kty?: string
  /** An assertion with a `kid` is verified with the key of this `kid` only. */
  readonly kid?: string
  /** If present, assertions signed with this key must have this `alg`. */
  readonly alg?: string
  /** The certificate of the key, as base64 of its DER encoding, for `self_signed_tls_client_auth` (RFC 8705 section 2.2). */
  readonly x5c?: readonly string[]
}

/** A JWK set (RFC 7517 section 5). */
export interface JwkSet {
  readonly keys: readonly ClientKey[]
}

const MAX_KEYS = 16
const MIN_RSA_BITS = 2048

/** The public keys of a client. */
export function jwkSet(): Rule<JwkSet> {
  const expected = `a JWK set { keys } of 1 to ${String(MAX_KEYS)} public keys`
  const keys = listOf<ClientKey, ClientKey>({ expected: 'a public JWK', parse: parseKey }, { min: 1, max: MAX_KEYS })
  return {
    expected,
    parse: (value, option) => ({ keys: keys.parse(plainObject().parse(value, option)['keys'], `${option}.keys`) }),
  }
}

function parseKey(value: unknown, option: string): ClientKey {
  if (typeof value !== 'object' || value === null || !isAsymmetric(value))
    throw new ConfigurationError(option, `must be a JWK with kty EC, OKP or RSA, got ${describeValue(value)}`)
  if (PRIVATE_MEMBERS.some((name) => name in value))
    throw new ConfigurationError(
      option,
      'must be a public JWK, got private members; register the public key and keep the private one at the client',
    )
  const key = value as ClientKey
  assertStrongKey(key, option)
  if (key.x5c !== undefined) assertCertificate(key, `${option}.x5c`)
  return key
}

function assertStrongKey(key: ClientKey, option: string): void {
  let bits: number | undefined
  try {
    bits = toPublicKey(key).asymmetricKeyDetails?.modulusLength
  } catch (cause) {
    throw new ConfigurationError(option, 'must be a JWK, got members that do not form a key', { cause })
  }
  if (bits !== undefined && bits < MIN_RSA_BITS)
    throw new ConfigurationError(
      option,
      `must be an RSA key of ${String(MIN_RSA_BITS)} bits or more, got ${String(bits)} bits`,
    )
}

/** The certificate must contain the key (RFC 7517 section 4.7). */
function assertCertificate(key: ClientKey, option: string): void {
  const certificate = toCertificate(key)
  if (certificate === null)
    throw new ConfigurationError(
      option,
      'must be a list with a certificate in base64 of DER; certificateToJwk creates the JWK from PEM',
    )
  if (!certificate.publicKey.equals(toPublicKey(key)))
    throw new ConfigurationError(option, 'must contain the key of the JWK, got a certificate of another key')
}

function toPublicKey(key: ClientKey) {
  return createPublicKey({ key: pickPublicMembers(key), format: 'jwk' })
}

/** Returns the certificate of a key, or null if it has none or one that cannot be parsed. */
function toCertificate({ x5c }: ClientKey): X509Certificate | null {
  const [der] = Array.isArray(x5c) ? (x5c as readonly unknown[]) : []
  if (typeof der !== 'string') return null
  try {
    return new X509Certificate(Buffer.from(der, 'base64'))
  } catch {
    return null
  }
}

/** Returns the certificates of the keys that have one. */
export function certificatesIn({ keys }: JwkSet): readonly X509Certificate[] {
  return keys.map(toCertificate).filter((certificate) => certificate !== null)
}

/**
 * Returns the JWK of a certificate, for the `jwks` of a client with `self_signed_tls_client_auth`
 * ([RFC 8705 section 2.2](https://www.rfc-editor.org/rfc/rfc8705#section-2.2)). Throws `ConfigurationError` for a text that is not a
 * certificate.
 *
 * @example
 * ```ts
 * import { readFileSync } from 'node:fs'
 * import { certificateToJwk, type StaticClient } from '@baton/http'
 *
 * const partner = (): StaticClient => ({
 *   clientId: 'partner',
 *   tokenEndpointAuthMethod: 'self_signed_tls_client_auth',
 *   jwks: { keys: [certificateToJwk(readFileSync('partner.pem', 'utf8'))] },
 * })
 * ```
 */
export function certificateToJwk(pem: string): ClientKey {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch (cause) {
    throw new ConfigurationError('pem', `must be a certificate in PEM, got ${describeValue(pem)}`, { cause })
  }
  const jwk: JsonWebKey = certificate.publicKey.export({ format: 'jwk' })
  return { ...pickPublicMembers(jwk), x5c: [certificate.raw.toString('base64')] }
}
