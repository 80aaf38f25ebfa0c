import type { Session } from './session/session.js'
import { SessionError } from './platform/errors.js'
import type { Options } from 'ky'
import { checkOptions } from './platform/options.js'

/**
 * Returns options for `ky.extend`: requests are sent with `session.fetch`, and ky does not retry a `SessionError`.
 *
 * @example
 * ```ts
 * import { withSession } from '@baton/client/ky'
 * import ky from 'ky'
 *
 * const api = ky.extend(withSession(session))
 * ```
 */
export function withSession(session: Pick<Session, 'fetch'>): Options {
  checkOptions({ session }, { session: '.fetch' }, {})
  return {
    fetch: (input, init) => session.fetch(input, init),
    retry: { shouldRetry: ({ error }) => (error instanceof SessionError ? false : undefined) },
  }
}
