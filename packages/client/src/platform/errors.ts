/** Stable codes of errors. Messages may change. */
export type SessionErrorCode =
  /** The user is signed out; `reason` is a `SignedOutReason`. */
  | 'signed_out'
  /** The server did not respond, or asked the client to wait, or the storage cannot be read. The session continues; call again. */
  | 'unavailable'
  /** Another tab or process held the lock for too long, or a sign-in request got no response. The session continues; call again. */
  | 'timeout'
  /** The server rejects the requests of this client because of its configuration. The session continues. */
  | 'misconfigured'
  /** The key to which the session is bound is lost. The session continues, but the user must sign in again. */
  | 'key_lost'
  /** The response to a sign-in is invalid or belongs to another request. Nothing has changed. */
  | 'bad_answer'

/** The reason why there is no access token. Only `signed_out` means that the user is signed out. Messages contain no tokens. */
export class SessionError extends Error {
  override readonly name = 'SessionError'
  readonly code: SessionErrorCode
  readonly reason: string
  /** No request is sent before this instant (epoch milliseconds); null if the server did not set one. */
  readonly until: number | null

  constructor(code: SessionErrorCode, reason: string, until: number | null = null) {
    super(`${code}: ${reason}`)
    this.code = code
    this.reason = reason
    this.until = until
  }
}

/** An invalid option or argument. Thrown by the call that received it. The message names the option, the rule and the value. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
  readonly code = 'invalid_option'
  readonly option: string

  /** `message` completes the sentence: `must be …`. */
  constructor(option: string, message: string) {
    super(`option "${option}" ${message}`)
    this.option = option
  }
}
