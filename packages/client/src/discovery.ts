import { checkOptions } from './platform/options.js'
import { createEnvironment, type Environment } from './platform/environment.js'
import { SessionError } from './platform/errors.js'
import { isObject, parseJson, toText } from './platform/json.js'
import { ConfigurationError } from './platform/errors.js'
import { isSecure, parseUrl } from './protocol/secure-url.js'

export interface DiscoveryOptions {
  /** For tests only. */
  readonly environment?: Pick<Environment, 'fetch'>
}

/** The endpoints of a server, with the names that `oauthEndpoints` and `beginAuthorization` use. */
export interface DiscoveredServer {
  /** The issuer of the server. */
  readonly issuer: string
  /** The token endpoint of the server. */
  readonly tokenEndpoint: string
  /** The authorization endpoint of the server. */
  readonly authorizationEndpoint?: string
  /** The revocation endpoint of the server (RFC 7009). */
  readonly revocationEndpoint?: string
  /** True if the server accepts the header `Idempotency-Key` (`idempotency_key_supported`, an extension of Baton servers). */
  readonly idempotencyKey?: true
  /** True if authorization responses contain `iss` (RFC 9207 section 3). */
  readonly authorizationResponseIssParameterSupported?: true
}

/**
 * Fetches the metadata of an issuer ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414)), or its OpenID Connect configuration if there is
 * none. The document must name the same issuer. Rejects with a `SessionError`, and with a `ConfigurationError` for an invalid issuer.
 *
 * @example
 * ```ts
 * import { createSession } from '@baton/client'
 * import { discover } from '@baton/client/discovery'
 * import { oauthEndpoints } from '@baton/client/oauth'
 *
 * const server = await discover('https://login.example')
 * const session = createSession({ endpoints: oauthEndpoints({ ...server, clientId: 'web' }) })
 * ```
 */
export async function discover(issuer: string, options: DiscoveryOptions = {}): Promise<DiscoveredServer> {
  checkOptions<DiscoveryOptions>(options, {}, { environment: '.fetch' })
  checkOptions({ issuer }, { issuer: 'string' }, {})
  const { environment = createEnvironment() } = options
  const { origin, pathname } = parseIssuer(issuer)
  const path = pathname.replace(/\/$/, '')
  // RFC 8414 section 3.1 inserts the well-known path; OpenID Connect appends it.
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

/** Returns null for 404. */
async function read({ fetch }: Pick<Environment, 'fetch'>, place: string): Promise<string | null> {
  const init = { headers: { accept: 'application/json' }, redirect: 'error' } as const
  const response = await fetch(place, init).catch(() => null)
  if (response === null) throw new SessionError('unavailable', 'no response')
  if (response.ok) return response.text()
  await response.body?.cancel()
  if (response.status === 404) return null
  throw new SessionError('unavailable', `status ${String(response.status)}`)
}

function parseMetadata(metadata: unknown, issuer: string): DiscoveredServer {
  if (!isObject(metadata)) throw new SessionError('unavailable', 'the metadata is not JSON')
  // Prevents that another issuer receives the credentials for this one (RFC 8414 section 3.3).
  if (metadata['issuer'] !== issuer) throw new SessionError('bad_answer', 'the metadata names another issuer')
  const tokenEndpoint = parseEndpoint(metadata, 'token_endpoint')
  const authorizationEndpoint = parseEndpoint(metadata, 'authorization_endpoint')
  const revocationEndpoint = parseEndpoint(metadata, 'revocation_endpoint')
  if (tokenEndpoint === null) throw new SessionError('bad_answer', 'the metadata has no token_endpoint')
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

/**
 * Returns null if the member is missing. The URL is opened in a browser or receives secrets, so schemes such as `javascript:` are rejected.
 */
function parseEndpoint(metadata: Readonly<Record<string, unknown>>, name: string): string | null {
  const text = toText(metadata[name])
  if (text === null) return null
  const url = parseUrl(text)
  if (url && isSecure(url) && !url.hash) return text
  throw new SessionError('bad_answer', `${name} in the metadata must be an https URL without fragment`)
}

/** Returns the URL of an issuer identifier (RFC 8414 section 2). */
function parseIssuer(issuer: string): URL {
  const url = parseUrl(issuer)
  if (url && isSecure(url) && !url.search && !url.hash) return url
  throw new ConfigurationError(
    'issuer',
    `must be an https URL without query and fragment, got ${issuer}; http is allowed for loopback hosts only`,
  )
}
