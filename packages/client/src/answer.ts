import { isObject, isText, parseJson } from './record.js'

/** What the server handed out. */
export interface Grant {
  readonly accessToken: string
  /** Null where the answer had none: the one that was sent goes on. */
  readonly refreshToken: string | null
  /** Null where the server did not say how long the access token lives. */
  readonly lifetimeMs: number | null
  readonly scope: string | null
  /** The server's name for the session; only Baton gives one. */
  readonly sid: string | null
}

/** What an answer of the token endpoint means. */
export type Answer =
  | { readonly kind: 'granted'; readonly grant: Grant }
  /** `invalid_grant`: final, if the token that was sent is still the stored one. */
  | { readonly kind: 'refused' }
  /** Says nothing about the session; the same request may succeed later. */
  | { readonly kind: 'later'; readonly retryAfterMs: number | null; readonly cause: string }
  /** The server will not serve this client in this way, however often it asks. */
  | { readonly kind: 'misconfigured'; readonly cause: string }
  /** Nothing was sent: the key that the tokens are bound to is not there any more. */
  | { readonly kind: 'key_lost' }
  /** The cookie belongs to another session than the one we believe in; nothing has changed. */
  | { readonly kind: 'other_session' }

/** An answer as it came. */
export interface RawAnswer {
  readonly status: number
  /** What `Retry-After` said; null without one. */
  readonly retryAfter: string | null
  readonly body: string
}

const LONGEST_PAUSE_MS = 3_600_000
const LATER_STATUSES: readonly number[] = [408, 425, 429]
const LATER_ERRORS: readonly unknown[] = ['temporarily_unavailable', 'server_error', 'slow_down']

/**
 * Reads an answer of the token endpoint. Only `invalid_grant` in a JSON object can end a session: what comes from a captive portal,
 * a proxy or a server in trouble is "later". `tokenType` is the one that we can use, in lower case; `now` is epoch milliseconds.
 */
export function readAnswer(
  { status, retryAfter, body }: RawAnswer,
  { tokenType, now }: { readonly tokenType: string; readonly now: number },
): Answer {
  const later = (cause: string): Answer => ({ kind: 'later', retryAfterMs: readRetryAfter(retryAfter, now), cause })
  if (LATER_STATUSES.includes(status) || status >= 500) return later(`status ${String(status)}`)
  const members = parseJson(body)
  if (!isObject(members) || (status >= 300 && status < 400)) return later(`no JSON, status ${String(status)}`)
  if (status >= 200 && status < 300) return readGrant(members, tokenType) ?? later('no token in the answer')
  const error = members['error']
  if (error === 'invalid_grant') return { kind: 'refused' }
  if (error === 'other_session') return { kind: 'other_session' }
  if (LATER_ERRORS.includes(error)) return later(String(error))
  return { kind: 'misconfigured', cause: errorCode(error) ?? `status ${String(status)}` }
}

/** Null for a grant without an access token. */
export function readGrant(members: Readonly<Record<string, unknown>>, tokenType: string): Answer | null {
  const { access_token: accessToken, token_type: type, refresh_token: refreshToken, scope, sid } = members
  if (!isText(accessToken)) return null
  // What another kind of token needs, we cannot do (RFC 6749 section 7.1); a bearer token where a key should bind it is no help (RFC 9449 section 5).
  if (!isText(type) || type.toLowerCase() !== tokenType) return { kind: 'misconfigured', cause: 'token_type' }
  return {
    kind: 'granted',
    grant: {
      accessToken,
      refreshToken: isText(refreshToken) ? refreshToken : null,
      lifetimeMs: readLifetime(members['expires_in']),
      scope: isText(scope) ? scope : null,
      sid: isText(sid) ? sid : null,
    },
  }
}

/** Some servers write the number as text. */
function readLifetime(value: unknown): number | null {
  const seconds = isText(value) ? Number(value) : value
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null
}

function readRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), LONGEST_PAUSE_MS)
}

/** Only what reads like a code of the standards: a server may repeat what must be in no error of ours. */
export function errorCode(error: unknown): string | null {
  return isText(error) && /^[a-z_]{1,40}$/.test(error) ? error : null
}
