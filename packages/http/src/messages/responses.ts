import type { PlainResponse } from './message.js'
import type { Exhausted, Standing } from './rate-limit.js'

type Header = readonly [name: string, value: string]

/** The error codes that leave this server, and the status of each where the caller names no other. */
const STATUS = {
  invalid_request: 400,
  invalid_client: 400,
  invalid_grant: 400,
  unauthorized_client: 400,
  unsupported_grant_type: 400,
  unsupported_token_type: 400,
  invalid_scope: 400,
  invalid_target: 400,
  invalid_dpop_proof: 400,
  use_dpop_nonce: 400,
  invalid_token: 401,
  insufficient_scope: 403,
  access_denied: 403,
  not_found: 404,
  other_session: 409,
  too_many_requests: 429,
  server_error: 500,
  temporarily_unavailable: 503,
} as const

export type ErrorCode = keyof typeof STATUS

/** The length of an outage is unknown; clients back off further by themselves. */
const OUTAGE_RETRY_SECONDS = 1

/** Headers of every response: it must not be cached (RFC 6749 section 5.1), and its type must not be guessed. */
const ALWAYS: readonly Header[] = [
  ['cache-control', 'no-store'],
  ['pragma', 'no-cache'],
  ['x-content-type-options', 'nosniff'],
]

const ALWAYS_ON_JSON: readonly Header[] = [['content-type', 'application/json'], ...ALWAYS]

/** A JSON object. Members that are undefined are left out; null would break clients. */
export function json(status: number, body: object, headers: readonly Header[] = []): PlainResponse {
  return {
    status,
    headers: headers.length === 0 ? ALWAYS_ON_JSON : [...ALWAYS_ON_JSON, ...headers],
    body: JSON.stringify(body),
  }
}

/** 304: the representation that the client has is current. */
export function notModified(headers: readonly Header[]): PlainResponse {
  return { status: 304, headers: [...ALWAYS, ...headers], body: null }
}

/** 204. */
export function noContent(headers: readonly Header[] = []): PlainResponse {
  return { status: 204, headers: [...ALWAYS, ...headers], body: null }
}

export interface ErrorDetails {
  /** A fixed sentence that contains no part of the request. */
  readonly description?: string
  /** Where the code's usual status does not fit. */
  readonly status?: number
  readonly headers?: readonly Header[]
  /** Further members of the response. */
  readonly members?: Readonly<Record<string, unknown>>
}

/** An error as RFC 6749 section 5.2 shapes it. */
export function error(
  code: ErrorCode,
  { description, status = STATUS[code], headers = [], members = {} }: ErrorDetails = {},
): PlainResponse {
  const text = description === undefined ? {} : { error_description: legible(description) }
  return json(status, { error: code, ...text, ...members }, headers)
}

/** Keeps the characters that RFC 6749 section 5.2 allows in a description. */
function legible(description: string): string {
  return description.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?')
}

export function invalidRequest(description: string, status = 400): PlainResponse {
  return error('invalid_request', { description, status })
}

/** The same response for every invalid token or code, so that an attacker cannot learn the reason. */
export function invalidGrant(what: 'refresh token' | 'code' = 'refresh token'): PlainResponse {
  return error('invalid_grant', { description: `The ${what} is not valid.` })
}

/** The same rejection for a token in a cookie: 401, which pages treat as signed out. */
export function signedOut(): PlainResponse {
  return error('invalid_grant', {
    status: 401,
    description: 'There is no live session.',
    headers: [['www-authenticate', 'Bearer']],
  })
}

/** The cookie belongs to another session than the page names; nothing has changed. `members` describe the named session. */
export function otherSession(members: { readonly session_active?: true } = {}): PlainResponse {
  return error('other_session', { description: 'The cookie belongs to another session.', members })
}

/** Credentials in the Authorization header require 401 and a challenge (RFC 6749 section 5.2). */
export function invalidClient(via: 'header' | 'body', description = 'Client authentication failed.'): PlainResponse {
  return via === 'header'
    ? error('invalid_client', {
        description,
        status: 401,
        headers: [['www-authenticate', 'Basic realm="token endpoint", charset="UTF-8"']],
      })
    : error('invalid_client', { description })
}

export function methodNotAllowed(methods: readonly string[]): PlainResponse {
  return error('invalid_request', {
    status: 405,
    description: `Use ${methods.join(' or ')}.`,
    headers: [['allow', methods.join(', ')]],
  })
}

/** Nothing was consumed, and clients do not sign out at this error code. */
export function tooManyRequests(exhausted: Exhausted): PlainResponse {
  const seconds = Math.max(1, Math.ceil(exhausted?.resetSeconds ?? 1))
  return error('too_many_requests', {
    description: 'Too many requests; try again later.',
    headers: [['retry-after', String(seconds)], ...rateLimitFields(exhausted)],
  })
}

/** Where the caller stands with a limit, as structured fields (draft-ietf-httpapi-ratelimit-headers-11). */
export function rateLimitFields(standing: Standing | null): readonly Header[] {
  if (standing === null) return []
  const { name, points, seconds, remaining, resetSeconds } = standing
  return [
    ['ratelimit-policy', `"${name}";q=${String(points)};w=${String(seconds)}`],
    ['ratelimit', `"${name}";r=${String(remaining)};t=${String(Math.ceil(resetSeconds))}`],
  ]
}

/** A dependency failed or timed out: the same request may succeed later. */
export function unavailable(): PlainResponse {
  return error('temporarily_unavailable', {
    description: 'Try again in a moment.',
    headers: [['retry-after', String(OUTAGE_RETRY_SECONDS)]],
  })
}

export function serverError(): PlainResponse {
  return error('server_error', { description: 'Something went wrong here.' })
}
