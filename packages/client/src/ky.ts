import type { Session } from './session/session.js'
import { SessionError } from './platform/errors.js'
import type { Options } from 'ky'
import { checkOptions } from './platform/options.js'

/**
 * Options for `ky.extend`: requests are sent by `session.fetch`, with all that it does about tokens, 401 and proofs, and what the
 * session has given up is not tried again.
 */
export function withSession(session: Pick<Session, 'fetch'>): Options {
  checkOptions({ session }, { session: '.fetch' }, {})
  return {
    fetch: (input, init) => session.fetch(input, init),
    retry: { shouldRetry: ({ error }) => (error instanceof SessionError ? false : undefined) },
  }
}
