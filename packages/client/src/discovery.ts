import { checkOptions } from './platform/options.js'
import { createEnvironment, type Environment } from './platform/environment.js'
import { SessionError } from './platform/errors.js'
import { isObject, parseJson, toText } from './platform/json.js'
import { ConfigurationError } from './platform/errors.js'
import { isSecure, parseUrl } from './protocol/secure-url.js'

export interface DiscoveryOptions {
  readonly environment?: Pick<Environment, 'fetch'>
}

/** Where a server is to be asked, under the names that `oauthEndpoints` and `beginAuthorization` have for it. */
export interface DiscoveredServer {
  readonly issuer: string
  readonly tokenEndpoint: string
  readonly authorizationEndpoint?: string
  readonly revocationEndpoint?: string
  /** The server accepts the header `Idempotency-Key`: `idempotency_key_supported`, an extension of Baton servers. */
  readonly idempotencyKey?: true
  /** Its authorization responses carry its issuer (RFC 9207 section 3). */
  readonly authorizationResponseIssParameterSupported?: true
}

/**
 * Asks an issuer for its endpoints (RFC 8414), and where it has no such document for that of OpenID Connect. Only a document that
 * names this very issuer counts. Rejects with a `SessionError`; throws `ConfigurationError` for what cannot be an issuer.
 */
export async function discover(issuer: string, options: DiscoveryOptions = {}): Promise<DiscoveredServer> {
  checkOptions<DiscoveryOptions>(options, {}, { environment: '.fetch' })
  checkOptions({ issuer }, { issuer: 'string' }, {})
  const { environment = createEnvironment() } = options
  const { origin, pathname } = parseIssuer(issuer)
  const path = pathname.replace(/\/$/, '')
  // Inserted for one (RFC 8414 section 3.1), appended for the other.
  const places = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
  for (const place of places) {
    const text = await read(environment, place)
    if (text !== null) return parseMetadata(parseJson(text), issuer)
  }
  throw new SessionError('bad_answer', 'the issuer has no metadata')
}

/** Null where there is nothing. */
async function read({ fetch }: Pick<Environment, 'fetch'>, place: string): Promise<string | null> {
  const init = { headers: { accept: 'application/json' }, redirect: 'error' } as const
  const response = await fetch(place, init).catch(() => null)
  if (response === null) throw new SessionError('unavailable', 'no answer')
  if (response.ok) return response.text()
  await response.body?.cancel()
  if (response.status === 404) return null
  throw new SessionError('unavailable', `status ${String(response.status)}`)
}

function parseMetadata(metadata: unknown, issuer: string): DiscoveredServer {
  if (!isObject(metadata)) throw new SessionError('unavailable', 'no JSON')
  // Another issuer's endpoints would get what is meant for this one (RFC 8414 section 3.3).
  if (metadata['issuer'] !== issuer) throw new SessionError('bad_answer', 'the metadata is that of another issuer')
  const tokenEndpoint = parseEndpoint(metadata, 'token_endpoint')
  const authorizationEndpoint = parseEndpoint(metadata, 'authorization_endpoint')
  const revocationEndpoint = parseEndpoint(metadata, 'revocation_endpoint')
  if (tokenEndpoint === null) throw new SessionError('bad_answer', 'the metadata names no token_endpoint')
  return {
    issuer,
    tokenEndpoint,
    ...(authorizationEndpoint === null ? {} : { authorizationEndpoint }),
    ...(revocationEndpoint === null ? {} : { revocationEndpoint }),
    ...(metadata['idempotency_key_supported'] === true ? { idempotencyKey: true } : {}),
    ...(metadata['authorization_response_iss_parameter_supported'] === true
      ? { authorizationResponseIssParameterSupported: true }
      : {}),
  }
}

/** Null if it is not there. A browser is sent to one of them, and secrets to the others: `javascript:` must not get through. */
function parseEndpoint(metadata: Readonly<Record<string, unknown>>, name: string): string | null {
  const text = toText(metadata[name])
  if (text === null) return null
  const url = parseUrl(text)
  if (url && isSecure(url) && !url.hash) return text
  throw new SessionError('bad_answer', `the ${name} of the metadata is not an https URL without fragment`)
}

/** RFC 8414 section 2. */
function parseIssuer(issuer: string): URL {
  const url = parseUrl(issuer)
  if (url && isSecure(url) && !url.search && !url.hash) return url
  throw new ConfigurationError(
    'issuer',
    `must be an https URL without query and fragment, got ${issuer}; http is allowed for loopback hosts only`,
  )
}
