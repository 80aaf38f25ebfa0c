import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { StaticClient } from '@baton/http'

/** The redirect URI of all clients. */
export const REDIRECT_URI = 'http://127.0.0.1:9999/callback'
const ANY_PORT = /^http:\/\/127\.0\.0\.1:\d{1,5}\/callback$/

/**
 * Returns true if the browser may be redirected to this URI. Compared exactly, because an attacker that can change the
 * redirect URI receives codes of other users. Only an app on a device uses any free port (RFC 8252 section 7.3).
 */
export function isRedirectUri(uri: string, { clientId }: Pick<StaticClient, 'clientId'>): boolean {
  return uri === REDIRECT_URI || (clientId === 'native' && ANY_PORT.test(uri) && URL.canParse(uri))
}

/**
 * The clients of the server at `origin`. A client with neither a secret nor keys is public: an app in a browser or on a
 * phone, which cannot keep a secret. Secrets as short as these are for examples only. `firstParty` marks the clients of
 * this app: only their tokens may list and revoke the sessions of a user.
 */
export const createClients = (origin: string): readonly StaticClient[] => [
  { clientId: 'web', firstParty: true },
  { clientId: 'other' },
  { clientId: 'backend', secret: 'backend-secret', firstParty: true },
  { clientId: 'native', dpopBoundAccessTokens: true },
  { clientId: 'service', jwks: { keys: [readServicePublicKey()] } },
  // A resource server, which may introspect the access tokens that it receives.
  { clientId: 'api', secret: 'api-secret', grantTypes: [], introspectionAudiences: [origin] },
]

/** The ids of all clients. */
export const clientIds = createClients('').map(({ clientId }) => clientId)

/**
 * A real server never has the private key. This one is only for examples and is in the repository so that you can act
 * as `service`.
 */
function readServicePublicKey() {
  const text = readFileSync(new URL('../service-key.json', import.meta.url), 'utf8')
  const { kid, alg, ...key } = JSON.parse(text) as { kid: string; alg: string; kty: string }
  return { ...createPublicKey({ key, format: 'jwk' }).export({ format: 'jwk' }), kid, alg }
}
