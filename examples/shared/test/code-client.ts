import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose'

export const REDIRECT_URI = 'http://127.0.0.1:9999/callback'
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Creates a verifier and its challenge for one sign-in (RFC 7636). */
export function pkce() {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

export function authorizationQuery(challenge: string, changes: Readonly<Record<string, string>> = {}): string {
  return `/oauth/authorize?${String(
    new URLSearchParams({
      response_type: 'code',
      client_id: 'web',
      redirect_uri: REDIRECT_URI,
      scope: 'read write',
      state: 'a state & more',
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...changes,
    }),
  )}`
}

/** Returns the URL of the redirect. Throws for any other response. */
export async function redirectOf(url: string, init: RequestInit = {}): Promise<URL> {
  const response = await fetch(url, { redirect: 'manual', ...init })
  const location = response.headers.get('location')
  if (response.status !== 303 || location === null) throw new Error(`${response.status} ${await response.text()}`)
  return new URL(location)
}

/** Creates a key and a function that signs DPoP proofs with it (RFC 9449). */
export async function keyHolder() {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = await exportJWK(publicKey)
  return (url: string, method = 'POST', accessToken?: string) =>
    new SignJWT({
      jti: randomUUID(),
      htm: method,
      htu: url,
      ...(accessToken === undefined ? {} : { ath: createHash('sha256').update(accessToken).digest('base64url') }),
    })
      .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
      .setIssuedAt()
      .sign(privateKey)
}

/** Returns the client assertion that `service` sends instead of a secret, signed with its private key (RFC 7523). */
export async function assertionFor(issuer: string) {
  const text = readFileSync(new URL('../service-key.json', import.meta.url), 'utf8')
  const { kid = '', ...key } = JSON.parse(text) as JWK
  const assertion = await new SignJWT({ jti: randomUUID() })
    .setProtectedHeader({ alg: 'ES256', kid })
    .setIssuer('service')
    .setSubject('service')
    .setAudience(issuer)
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(await importJWK(key, 'ES256'))
  return { client_assertion_type: ASSERTION_TYPE, client_assertion: assertion }
}
