import { OperationalError } from '@baton/core'

/**
 * The authorization server could not be reached, or its metadata, its key set or its introspection response is not valid. The access token
 * was neither accepted nor rejected: the response of a guard is 503. Messages contain no token and no secret.
 */
export class IssuerError extends OperationalError {
  override readonly name = 'IssuerError'
  /** The HTTP status of the response; undefined if it was 200 or there was no response. */
  readonly status: number | undefined

  /** `message` completes the sentence that `document` begins, such as "the key set". */
  constructor(document: string, message: string, options: { cause?: unknown; status?: number } = {}) {
    super('issuer_failed', `${document} ${message}`, options)
    this.status = options.status
  }
}

const MAX_QUOTED_LENGTH = 200

/** Returns a value of a public document for an error message. */
export function quote(value: unknown): string {
  return value === undefined ? 'undefined' : JSON.stringify(value).slice(0, MAX_QUOTED_LENGTH)
}
