import { checkOptions } from './platform/options.js'
import type { Session } from './session/session.js'
import { SessionError } from './platform/errors.js'

/**
 * Ends all sessions of the user at the server, then this session. `endpoint` is `/auth/logout-everywhere` of a Baton server, or an
 * equivalent that accepts a bearer token. Rejects with a `SessionError` if the server did not end the sessions; this session then
 * continues.
 *
 * @example
 * ```ts
 * import { logoutEverywhere } from '@baton/client/logout-everywhere'
 *
 * await logoutEverywhere(session, '/auth/logout-everywhere')
 * ```
 */
export async function logoutEverywhere(
  session: Pick<Session, 'fetch' | 'logout'>,
  endpoint: string | URL,
): Promise<{ readonly revoked: boolean }> {
  checkOptions({ session, endpoint }, { session: '.fetch', endpoint: 'URL' }, {})
  const response = await session.fetch(endpoint, { method: 'POST' }, { replay: true }).catch((error: unknown) => {
    throw error instanceof SessionError ? error : new SessionError('unavailable', 'no response')
  })
  await response.body?.cancel()
  if (!response.ok) throw new SessionError('unavailable', `status ${response.status}`)
  return session.logout()
}
