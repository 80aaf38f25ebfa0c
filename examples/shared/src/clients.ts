import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { StaticClient } from '@baton/http'

/** Where every client's browser goes back to. */
export const REDIRECT_URI = 'http://127.0.0.1:9999/callback'
const ANY_PORT = /^http:\/\/127\.0\.0\.1:\d{1,5}\/callback$/

/**
 * Whether the browser may be sent there. To the letter, because whoever can bend the redirect URI gets other people's codes; only an app
 * on a device listens on whatever port is free (RFC 8252 section 7.3).
 */
export function isRedirectUri(uri: string, { clientId }: Pick<StaticClient, 'clientId'>): boolean {
  return uri === REDIRECT_URI || (clientId === 'native' && ANY_PORT.test(uri) && URL.canParse(uri))
}

/**
 * Who may ask the server at `origin` for tokens. A client with neither a secret nor keys is public: an app in a browser or on a phone, which could keep
 * none. Secrets as short as these are for examples. `firstParty` marks the clients of this app itself: only their tokens may list and
 * revoke the sessions of a user.
 */
export const clientsOf = (origin: string): readonly StaticClient[] => [
  { clientId: 'web', firstParty: true },
  { clientId: 'other' },
  { clientId: 'backend', secret: 'backend-secret', firstParty: true },
  { clientId: 'native', dpopBoundAccessTokens: true },
  { clientId: 'service', jwks: { keys: [publicKeyOfService()] } },
  // A resource server, which may ask what the tokens that it is sent are worth.
  { clientId: 'api', secret: 'api-secret', grantTypes: [], introspectionAudiences: [origin] },
]

/** All of their names. */
export const clientIds = clientsOf('').map(({ clientId }) => clientId)

/** A real server has never seen the private half. This one is made up, and lies beside the examples so that you can be `service`. */
function publicKeyOfService() {
  const text = readFileSync(new URL('../service-key.json', import.meta.url), 'utf8')
  const { kid, alg, ...key } = JSON.parse(text) as { kid: string; alg: string; kty: string }
  return { ...createPublicKey({ key, format: 'jwk' }).export({ format: 'jwk' }), kid, alg }
}
