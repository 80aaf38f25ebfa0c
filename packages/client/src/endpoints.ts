import { MisuseError } from './errors.js'
import type { PendingRevocation } from './record.js'
import type { RefreshRequest } from './refresh-state.js'
import { isSecure } from './secure-url.js'

/** For a session whose refresh token we keep: any OAuth 2 server. */
export interface TokenOptions {
  readonly tokenEndpoint: string | URL
  readonly clientId: string
  /** For confidential clients, which are never in a browser. Sent by HTTP Basic. */
  readonly clientSecret?: string
  /** RFC 7009. Without one a sign-out ends only what is stored here. */
  readonly revocationEndpoint?: string | URL
  /** False where the token endpoint is of another origin, whose CORS rules do not allow this header. Default true. */
  readonly idempotencyKey?: boolean
}

/** For a session in a cookie that no script can read: a Baton server with `cookie: true`. */
export interface CookieOptions {
  readonly refreshEndpoint: string | URL
  readonly logoutEndpoint: string | URL
  /**
   * Stores the access token beside the marker, so that one refresh serves all tabs. Default false: every tab refreshes for itself,
   * and no token is ever stored.
   */
  readonly shareAccessToken?: boolean
}

export interface Call {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  readonly credentials: 'include' | 'omit'
}

/** Writes requests; the difference between the two ways to carry a refresh token. */
export interface Endpoints {
  readonly carrier: 'token' | 'cookie'
  readonly sharesAccessToken: boolean
  readonly refresh: (request: RefreshRequest) => Call
  /** Null where nobody can be told. */
  readonly revoke: (revocation: PendingRevocation) => Call | null
  /** RFC 6749 section 4.1.3. */
  readonly exchange: (form: Readonly<Record<string, string>>) => Call
  /** Of the server; access tokens go there unless other origins are named. */
  readonly origin: string
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }

/** Throws `MisuseError`. */
export function tokenEndpoints(options: TokenOptions, base: string | null): Endpoints {
  const { clientId, clientSecret, idempotencyKey = true } = options
  if (typeof (clientId as unknown) !== 'string' || clientId === '')
    throw new MisuseError('clientId', 'is missing; give the id that the server knows this app by')
  const token = endpointUrl('tokenEndpoint', options.tokenEndpoint, base)
  const revocation =
    options.revocationEndpoint === undefined
      ? null
      : endpointUrl('revocationEndpoint', options.revocationEndpoint, base)
  const write = (
    url: string,
    form: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>>,
  ): Call => ({
    url,
    headers: {
      ...FORM,
      ...headers,
      ...(clientSecret === undefined ? {} : { authorization: basic(clientId, clientSecret) }),
    },
    // One method of authentication: where there is a secret, the id goes with it (RFC 6749 section 2.3).
    body: new URLSearchParams(clientSecret === undefined ? { ...form, client_id: clientId } : { ...form }).toString(),
    credentials: 'omit',
  })
  return {
    carrier: 'token',
    sharesAccessToken: true,
    origin: new URL(token).origin,
    refresh: ({ refreshToken, attempt }) =>
      write(
        token,
        { grant_type: 'refresh_token', refresh_token: refreshToken ?? '' },
        idempotencyKey ? { 'idempotency-key': attempt } : {},
      ),
    revoke: ({ refreshToken }) =>
      revocation === null || refreshToken === null
        ? null
        : write(revocation, { token: refreshToken, token_type_hint: 'refresh_token' }, {}),
    exchange: (form) => write(token, { grant_type: 'authorization_code', ...form }, {}),
  }
}

/** Throws `MisuseError`. */
export function cookieEndpoints(options: CookieOptions, base: string | null): Endpoints {
  const refresh = endpointUrl('refreshEndpoint', options.refreshEndpoint, base)
  const logout = endpointUrl('logoutEndpoint', options.logoutEndpoint, base)
  const write = (url: string, sid: string | null, headers: Readonly<Record<string, string>> = {}): Call => ({
    url,
    headers: {
      accept: 'application/json',
      'x-baton': '1',
      ...(sid === null ? {} : { 'x-baton-session': sid }),
      ...headers,
    },
    body: null,
    credentials: 'include',
  })
  return {
    carrier: 'cookie',
    sharesAccessToken: options.shareAccessToken ?? false,
    origin: new URL(refresh).origin,
    refresh: ({ attempt, sid }) => write(refresh, sid, { 'idempotency-key': attempt }),
    revoke: ({ sid }) => write(logout, sid),
    exchange() {
      throw new MisuseError('loginWithCode', 'needs tokenEndpoint; in cookie mode the server exchanges the code')
    },
  }
}

/** An absolute URL that tokens may be sent to. Throws `MisuseError`. */
export function endpointUrl(option: string, value: string | URL, base: string | null): string {
  const text = String(value)
  if (URL.canParse(text, base ?? undefined)) {
    const url = new URL(text, base ?? undefined)
    if (isSecure(url) && url.hash === '') return url.href
  }
  throw new MisuseError(option, `${text} is not an https URL without fragment; plain http is for this machine only`)
}

/** Both parts are form-encoded first (RFC 6749 section 2.3.1). */
function basic(clientId: string, clientSecret: string): string {
  const encode = (text: string) => new URLSearchParams({ '': text }).toString().slice(1)
  return `Basic ${btoa(`${encode(clientId)}:${encode(clientSecret)}`)}`
}
