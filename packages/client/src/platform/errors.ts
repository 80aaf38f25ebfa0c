/** Stable codes of what can go wrong; messages may change. */
export type SessionErrorCode =
  /** Nobody is signed in; `reason` is a `SignedOutReason`. */
  | 'signed_out'
  /** The server did not respond, asked to wait, or the storage cannot be read. The session stays: call again. */
  | 'unavailable'
  /** Another tab or process holds the lock for too long, or a sign-in request got no response. The session stays: ask again. */
  | 'timeout'
  /** The server will not serve this client in this way, however often it asks. The session stays. */
  | 'misconfigured'
  /** The key that the session is bound to is not there any more. The session stays, but only another sign-in will help. */
  | 'key_lost'
  /** The answer of a sign-in is none, or is not for us. Nothing has changed. */
  | 'bad_answer'

/** Something kept a token from being there. Only `signed_out` means that nobody is signed in. No message carries a token. */
export class SessionError extends Error {
  override readonly name = 'SessionError'
  readonly code: SessionErrorCode
  readonly reason: string
  /** Before then (epoch milliseconds) nobody will ask; null where the server did not say. */
  readonly until: number | null

  constructor(code: SessionErrorCode, reason: string, until: number | null = null) {
    super(`${code}: ${reason}`)
    this.code = code
    this.reason = reason
    this.until = until
  }
}

/** An invalid option or argument. Thrown by the call that received it. The message names the option, the rule, the value and the fix. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
  readonly code = 'invalid_option'
  readonly option: string

  /** `message` completes the sentence: `must be …`, `is missing; …`. */
  constructor(option: string, message: string) {
    super(`option "${option}" ${message}`)
    this.option = option
  }
}
