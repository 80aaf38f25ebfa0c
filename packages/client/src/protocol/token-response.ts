import { SessionError } from '../platform/errors.js'
import { isObject, parseJson, toText } from '../platform/json.js'

/** What the server handed out. */
export interface Grant {
  readonly accessToken: string
  /** Null where the answer had none: the one that was sent goes on. */
  readonly refreshToken: string | null
  /** Null where the server did not say how long the access token lives. */
  readonly lifetimeMs: number | null
  /** Its end, counted from before it was asked for; epoch milliseconds. */
  readonly expiresAt: number | null
  readonly scope: string | null
  /** The server's name for the session; only Baton gives one. */
  readonly sid: string | null
}

/**
 * What an answer of the token endpoint means. `unavailable` says nothing about the session, `misconfigured` comes however often one
 * asks, and `signed_out` is the verdict on what was sent: `refused`, or `replaced` where the cookie is of another session.
 */
export type TokenResult = Grant | SessionError

/** Instants are epoch milliseconds. */
export interface ResponseContext {
  /** Of the tokens that we can use: `Bearer` or `DPoP`. */
  readonly scheme: string
  /** From before the request was sent. */
  readonly sentAt: number
  readonly now: number
}

/**
 * Maps an error response to the error code of RFC 6749 section 5.2 that it stands for, for servers with codes of their own; undefined if
 * its member `error` is that code. `invalid_grant` ends the session, and no other code does.
 */
export type ErrorCodeMapper = (members: Readonly<Record<string, unknown>>, status: number) => string | undefined

const MAX_PAUSE_MS = 3_600_000
/** By the clock of this device, which may be wrong. */
const MAX_UNCERTAIN_PAUSE_MS = 60_000
/** Other text is not repeated in errors: it could contain anything. */
const CODE = /^[a-z_]{1,40}$/
const LATER = /^(status (408|425|429|5..)|temporarily_unavailable|server_error|slow_down)$/

/**
 * Reads an answer of the token endpoint. Only `invalid_grant` in a JSON object can end a session: what comes from a captive portal,
 * a proxy or a server in trouble is `unavailable`. A response of status 200 with an `error` and without a token is an error as well.
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
  // A redirect that was not followed has no status in browsers.
  if (!isObject(members) || (!ok && status < 400) || LATER.test(inShort)) return later(inShort)
  if (ok && members['access_token']) return parseGrant(members, circumstances)
  const code = CODE.exec(toText(errorCodeOf(members, status) ?? members['error']) ?? '')?.[0]
  if (ok && !code) return later(inShort)
  const error = code ?? inShort
  if (error === 'invalid_grant') return new SessionError('signed_out', 'refused')
  // At sign-out the server says so if the session of this page is alive nevertheless, for an older cookie than its own came back.
  if (error === 'other_session' && !members['session_active']) return new SessionError('signed_out', 'replaced')
  return LATER.test(error) ? later(error) : new SessionError('misconfigured', error)
}

export function parseGrant(answer: unknown, { scheme, sentAt }: Omit<ResponseContext, 'now'>): TokenResult {
  const members = isObject(answer) ? answer : {}
  const accessToken = toText(members['access_token'])
  if (!accessToken) return new SessionError('bad_answer', 'no access_token')
  // What another kind of token needs, we cannot do (RFC 6749 section 7.1); a bearer token where a key should bind it is no help (RFC 9449 section 5).
  if (toText(members['token_type'])?.toLowerCase() !== scheme.toLowerCase())
    return new SessionError('misconfigured', 'token_type')
  // Some servers write the number as text.
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

/** Epoch milliseconds; null if there is no `Retry-After`, or none that can be parsed. */
function parseRetryAfter(headers: Headers, now: number): number | null {
  const retryAfter = headers.get('retry-after') ?? ''
  if (/^\d+$/.test(retryAfter)) return now + Math.min(Number(retryAfter) * 1000, MAX_PAUSE_MS)
  // The clock of the server: that of this device may be hours off. Pages see it only if its CORS rules expose it.
  const sentAt = Date.parse(headers.get('date') ?? '')
  const pauseMs = Date.parse(retryAfter) - (sentAt || now)
  return now + Math.min(pauseMs, sentAt ? MAX_PAUSE_MS : MAX_UNCERTAIN_PAUSE_MS) || null
}
