/** Stable codes of operational errors, for alerts and dashboards. Messages may change, codes do not. */
export type OperationalErrorCode =
  /** The store rejected the call; `cause` is the error of the driver. */
  | 'store_failed'
  /** The store did not respond within `storeTimeoutSeconds`. Whether it wrote is unknown; a retry is safe. */
  | 'store_timeout'
  /** Other callers with the same token won every attempt. A retry is safe. */
  | 'contended'
  /** A record was derived with a secret that this process does not have: `secrets` differ between instances. */
  | 'record_key_missing'
  /** A function of the app (`beforeRotate`, `beforeCommit`, `checkRateLimit`) threw; `cause` is its error. */
  | 'hook_failed'
  /** The store returned a value that its contract forbids. */
  | 'store_broken'
  /** The authorization server of a resource server was not available, or its response was not valid. Never the code of a `fault` event. */
  | 'issuer_failed'

/** The base class of every error that Baton throws. `code` is stable; messages never contain a token, secret or code. */
export abstract class BatonError extends Error {
  abstract readonly code: string
}

/**
 * A store, hook or clock failed. No token was rejected and nothing was revoked: respond with 503 and let the client retry. Whatever
 * was written can be retried.
 */
export class OperationalError extends BatonError {
  override readonly name: string = 'OperationalError'
  readonly code: OperationalErrorCode

  constructor(code: OperationalErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** An operational error of the store. See `code` and, for the error of the driver, `cause`. */
export class StoreError extends OperationalError {
  override readonly name = 'StoreError'
}

/** An invalid option or argument. Thrown by the call that received it. The message names the option, the rule, the value and the fix. */
export class ConfigurationError extends BatonError {
  override readonly name = 'ConfigurationError'
  readonly code = 'invalid_option'
  readonly option: string

  /** `message` completes the sentence: `must be …`, `is missing; …`. */
  constructor(option: string, message: string, options?: { cause?: unknown }) {
    super(`option "${option}" ${message}`, options)
    this.option = option
  }
}

/** Returns true for a `ConfigurationError`, also one of another copy of this package, such as its CommonJS build. */
export function isConfigurationError(value: unknown): value is ConfigurationError {
  return value instanceof Error && value.name === 'ConfigurationError'
}
