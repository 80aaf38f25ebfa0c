import { required, type OptionsOf, seconds, withDefault } from '@baton/core/options'
import {
  followRevoked,
  revokedSessionsOptions,
  type RevokedPage,
  type RevokedSessions,
} from '../access-tokens/revoked-sessions.js'
import { deadline, fetchObject, fetchOptions } from './bounded-fetch.js'
import { basicAuthorization, clientCredentials } from './client-credentials.js'
import { IssuerError } from './issuer-error.js'
import { secureUrl } from './issuer-url.js'

const remoteRevocationsOptions = fetchOptions.extend({
  ...revokedSessionsOptions.fields,
  ...clientCredentials,
  /** The URL of the revocations endpoint, such as `https://login.example/auth/revocations`. https, or http on a loopback host. */
  url: required(secureUrl()),
  /** How long a request waits for a revocation. 0 to 60, default 10; below `afterSeconds`. */
  waitSeconds: withDefault(seconds({ min: 0, max: 60 }), 10),
})

export type RemoteRevocationsOptions = OptionsOf<typeof remoteRevocationsOptions>

const DOCUMENT = 'the list of revoked sessions'
/** The pause between two requests: the endpoint responds at once while there are revocations. */
const PAUSE_MS = 200

/**
 * The revoked sessions of a Baton server, for the option `revocations` of a guard in another process. Reads its revocations endpoint with
 * requests that wait; a revoked session is rejected within one second. After a lost connection it continues where it was, so that no
 * revocation is lost. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { accessTokenGuard, remoteAccessTokens, remoteRevocations } from '@baton/http'
 *
 * const accessTokens = remoteAccessTokens({ issuer: 'https://login.example', audience: 'https://api.example' })
 * const revocations = remoteRevocations({
 *   url: 'https://login.example/auth/revocations',
 *   clientId: 'api',
 *   clientSecret: process.env['API_CLIENT_SECRET'] ?? '',
 *   maxAccessTokenSeconds: 900,
 *   whenUnavailable: 'reject',
 * })
 * const guard = accessTokenGuard({ accessTokens, revocations })
 * ```
 */
export function remoteRevocations(given: RemoteRevocationsOptions): RevokedSessions {
  const parsed = remoteRevocationsOptions.parse('remoteRevocations', given)
  const { url, waitSeconds, timeoutSeconds, maxAccessTokenSeconds } = parsed
  const headers = { authorization: basicAuthorization(parsed) }
  /** The first read does not wait: the list is complete without revocations as well. */
  let wait = 0

  async function read(cursor: string | null, signal: AbortSignal): Promise<RevokedPage> {
    const target = new URL(url)
    target.searchParams.set('wait', String(wait))
    target.searchParams.set('max_age', String(maxAccessTokenSeconds))
    if (cursor !== null) target.searchParams.set('since', cursor)
    const limit = deadline({ ...parsed, timeoutSeconds: timeoutSeconds + wait })
    const request = { url: target.href, document: DOCUMENT, signal: AbortSignal.any([signal, limit]), headers }
    wait = 0
    const page = toPage(await fetchObject(parsed, request))
    wait = page.hasMore ? 0 : waitSeconds
    return page
  }

  const { add: _add, ...sessions } = followRevoked(read, parsed, PAUSE_MS)
  return sessions
}

function toPage({ revoked, cursor, has_more: hasMore }: Readonly<Record<string, unknown>>): RevokedPage {
  if (!Array.isArray(revoked) || typeof cursor !== 'string' || cursor === '' || typeof hasMore !== 'boolean')
    throw new IssuerError(DOCUMENT, 'has no valid members revoked, cursor and has_more')
  return { sids: revoked.map(toSid), cursor, hasMore }
}

function toSid(entry: unknown): string {
  const sid = typeof entry === 'object' && entry !== null && 'sid' in entry ? entry.sid : undefined
  if (typeof sid === 'string' && sid !== '' && sid.length <= 64) return sid
  throw new IssuerError(DOCUMENT, 'has an entry without a valid sid')
}
