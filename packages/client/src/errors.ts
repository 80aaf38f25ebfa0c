import type { SignedOutReason } from './record.js'

/** Stable codes of what can go wrong; messages may change. */
export type SessionErrorCode =
  /** Nobody is signed in; see `reason`. */
  | 'signed_out'
  /** The server did not answer, or asked for patience. The session stays. */
  | 'unavailable'
  /** Somebody else holds the lock for too long. The session stays. */
  | 'timeout'
  /** The server will not serve this client in this way. The session stays. */
  | 'misconfigured'
  /** The key that the session is bound to is not there any more. The session stays, but only another sign-in will help. */
  | 'key_lost'
  /** The answer of a sign-in is none, or is not for us. Nothing has changed. */
  | 'bad_answer'

/** Something kept a token from being there. No message carries a token. */
export class SessionError extends Error {
  override readonly name: string = 'SessionError'
  readonly code: SessionErrorCode

  constructor(code: SessionErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** Nobody is signed in. */
export class SignedOutError extends SessionError {
  override readonly name = 'SignedOutError'
  readonly reason: SignedOutReason

  constructor(reason: SignedOutReason) {
    super('signed_out', `nobody is signed in (${reason})`)
    this.reason = reason
  }
}

/** The server did not answer in a way that says anything. Nobody has been signed out: ask again. */
export class UnavailableError extends SessionError {
  override readonly name = 'UnavailableError'
  /** Before then (epoch milliseconds) nobody will ask; null where the server did not say. */
  readonly until: number | null

  constructor(cause: string, until: number | null) {
    super('unavailable', `no new access token for now (${cause})`)
    this.until = until
  }
}

/** Another tab or process has held the lock for too long. Nobody has been signed out: ask again. */
export class RefreshTimeoutError extends SessionError {
  override readonly name = 'RefreshTimeoutError'

  constructor() {
    super('timeout', 'another tab or process has been refreshing for too long')
  }
}

/** The key that the tokens of this session are bound to (DPoP) is not there any more: nobody can use them again. Sign in anew. */
export class KeyLostError extends SessionError {
  override readonly name = 'KeyLostError'

  constructor() {
    super('key_lost', 'the key that this session is bound to is not there any more; sign in anew')
  }
}

/** Wrong use by the program, thrown where the mistake is made: names the option, the value and the mend. */
export class MisuseError extends TypeError {
  override readonly name = 'MisuseError'
  readonly code = 'misuse'
  readonly option: string

  constructor(option: string, message: string) {
    super(`${option}: ${message}`)
    this.option = option
  }
}
