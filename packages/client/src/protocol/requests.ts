/** A POST request. */
export interface Call {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  readonly credentials: 'include' | 'omit'
}

/** What identifies a session to the server. */
export interface SessionCredentials {
  readonly refreshToken: string | null
  readonly sid: string | null
}

/** Builds the requests to a server. Null stands for a request that the server does not accept. */
export interface RequestBuilder {
  /** The origin of the server. Access tokens are sent there unless other origins are configured. */
  readonly origin: string
  /** True if the refresh token is in a cookie, which may exist without a stored session. */
  readonly isCookie: boolean
  /** A replacer of `JSON.stringify` that removes what must not be stored. Default: everything is stored. */
  readonly redact?: (name: string, value: unknown) => unknown
  /** `key` identifies the attempt: each repetition has the same. */
  refresh(credentials: SessionCredentials, key: string): Call | null
  revoke(credentials: SessionCredentials): Call | null
  /** Sends another grant (RFC 6749 section 4). `key` as in `refresh`. A call with the header `idempotency-key` may be repeated. */
  exchange(parameters: Readonly<Record<string, string>>, key: string): Call | null
}
