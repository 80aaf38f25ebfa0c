import { SessionError } from '../platform/errors.js'
import { isObject, parseJson, toText } from '../platform/json.js'

/** The tokens of a successful response. */
export interface Grant {
  readonly accessToken: string
  /** Null if the response has none: the client continues with the one that it sent. */
  readonly refreshToken: string | null
  /** Null if the server did not state a lifetime. */
  readonly lifetimeMs: number | null
  /** Expiry in epoch milliseconds, counted from before the request was sent. */
  readonly expiresAt: number | null
  readonly scope: string | null
  /** The session id; only Baton servers return one. */
  readonly sid: string | null
}

/**
 * The result of a token request. `unavailable` and `misconfigured` do not end the session. `signed_out` does: `rejected`, or `replaced` if
 * the cookie belongs to another session.
 */
export type TokenResult = Grant | SessionError

/** Facts about the request. Instants are epoch milliseconds. */
export interface ResponseContext {
  /** The token type that the client supports: `Bearer` or `DPoP`. */
  readonly scheme: string
  /** An instant before the request was sent. */
  readonly sentAt: number
  readonly now: number
}

/**
 * Maps an error response with a proprietary code to an error code of RFC 6749 section 5.2. Returns undefined if the member `error` is that
 * code. Only `invalid_grant` ends the session.
 */
export type ErrorCodeMapper = (members: Readonly<Record<string, unknown>>, status: number) => string | undefined

const MAX_PAUSE_MS = 3_600_000
/** Used if `Retry-After` is compared with the clock of this device, which may be wrong. */
const MAX_UNCERTAIN_PAUSE_MS = 60_000
/** Other text is not repeated in errors. */
const CODE = /^[a-z_]{1,40}$/
const LATER = /^(status (408|425|429|5..)|temporarily_unavailable|server_error|slow_down)$/

/**
 * Parses a response of the token endpoint. Only `invalid_grant` in a JSON object ends the session. Responses of captive portals, proxies
 * and failing servers are `unavailable`. A response with status 200 and `error` but no token is an error.
 */
export async function parseTokenResponse(
  response: Response,
  circumstances: ResponseContext,
  errorCodeOf: ErrorCodeMapper = () => undefined,
): Promise<TokenResult> {
  const { ok, status, headers } = response
  const members = parseJson(await response.text())
  const inShort = `status ${status}`
  const later = (reason: string) => new SessionError('unavailable', reason, parseRetryAfter(headers, circumstances.now))
  // In browsers the status of a redirect that was not followed is 0.
  if (!isObject(members) || (!ok && status < 400) || LATER.test(inShort)) return later(inShort)
  if (ok && members['access_token']) return parseGrant(members, circumstances)
  const code = CODE.exec(toText(errorCodeOf(members, status) ?? members['error']) ?? '')?.[0]
  if (ok && !code) return later(inShort)
  const error = code ?? inShort
  if (error === 'invalid_grant') return new SessionError('signed_out', 'rejected')
  // At sign-out the server sets `session_active` if an older cookie was sent but the session of this page is still active.
  if (error === 'other_session' && !members['session_active']) return new SessionError('signed_out', 'replaced')
  return LATER.test(error) ? later(error) : new SessionError('misconfigured', error)
}

export function parseGrant(answer: unknown, { scheme, sentAt }: Omit<ResponseContext, 'now'>): TokenResult {
  const members = isObject(answer) ? answer : {}
  const accessToken = toText(members['access_token'])
  if (!accessToken) return new SessionError('bad_answer', 'no access_token')
  // Other token types are not supported (RFC 6749 section 7.1). A bearer token is rejected if DPoP is required (RFC 9449 section 5).
  if (toText(members['token_type'])?.toLowerCase() !== scheme.toLowerCase())
    return new SessionError('misconfigured', 'token_type')
  // Some servers return the number as a string.
  const seconds = parseFloat(String(members['expires_in']))
  const lifetimeMs = seconds >= 0 && seconds < Infinity ? seconds * 1000 : null
  return {
    accessToken,
    refreshToken: toText(members['refresh_token']),
    lifetimeMs,
    expiresAt: lifetimeMs === null ? null : sentAt + lifetimeMs,
    scope: toText(members['scope']),
    sid: toText(members['sid']),
  }
}

/** Returns epoch milliseconds; null if `Retry-After` is missing or invalid. */
function parseRetryAfter(headers: Headers, now: number): number | null {
  const retryAfter = headers.get('retry-after') ?? ''
  if (/^\d+$/.test(retryAfter)) return now + Math.min(Number(retryAfter) * 1000, MAX_PAUSE_MS)
  // Compares with the clock of the server, because that of this device may be wrong. CORS rules may hide the header `Date`.
  const sentAt = Date.parse(headers.get('date') ?? '')
  const pauseMs = Date.parse(retryAfter) - (sentAt || now)
  return now + Math.min(pauseMs, sentAt ? MAX_PAUSE_MS : MAX_UNCERTAIN_PAUSE_MS) || null
}
