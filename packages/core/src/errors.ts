/** Stable codes of faults: what broke, for alerts and dashboards. Messages may change, codes do not. */
export type FaultCode =
  /** The store rejected the call; `cause` is the driver's error. */
  | 'store_failed'
  /** The store did not answer within `storeTimeoutSeconds`. Whether it wrote is unknown, and a retry is safe. */
  | 'store_timeout'
  /** Another holder of the same token won every round; a retry will find a settled record. */
  | 'contended'
  /** A record was derived under a secret that this process does not have: `secrets` differ between instances. */
  | 'record_key_missing'
  /** A function that the app supplied (`beforeRotate`, `prepare`, `admit`) threw; `cause` is its error. */
  | 'hook_failed'
  /** The store answered something that its contract forbids. */
  | 'store_broken'

/**
 * Something broke; nobody is to blame and nobody is signed out. Answer it with 503 and let the client try again: no token was
 * refused, and whatever was written can be retried. Messages never contain a token.
 */
export class Fault extends Error {
  override readonly name: string = 'Fault'
  readonly code: FaultCode

  constructor(code: FaultCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** A fault of the store: see `code` and, for the driver's own error, `cause`. */
export class StoreError extends Fault {
  override readonly name = 'StoreError'
}

/** Wrong use by the program, thrown where the mistake is made: names the option, the value and the mend. */
export class MisuseError extends TypeError {
  override readonly name = 'MisuseError'
  readonly code = 'misuse'
  readonly option: string

  constructor(option: string, message: string, options?: { cause?: unknown }) {
    super(`${option}: ${message}`, options)
    this.option = option
  }
}
