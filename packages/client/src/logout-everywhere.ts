import { checkOptions } from './platform/options.js'
import type { Session } from './session/session.js'
import { SessionError } from './platform/errors.js'

/**
 * Ends all sessions of this person, then this one here: `endpoint` is `/auth/logout-everywhere` of a Baton server, or what does the
 * same for a bearer token. Rejects with a `SessionError` where the server does not do it, and then none has ended.
 */
export async function logoutEverywhere(
  session: Pick<Session, 'fetch' | 'logout'>,
  endpoint: string | URL,
): Promise<{ readonly revoked: boolean }> {
  checkOptions({ session, endpoint }, { session: '.fetch', endpoint: 'URL' }, {})
  const response = await session.fetch(endpoint, { method: 'POST' }, { replay: true }).catch((error: unknown) => {
    throw error instanceof SessionError ? error : new SessionError('unavailable', 'no answer')
  })
  await response.body?.cancel()
  if (!response.ok) throw new SessionError('unavailable', `status ${response.status}`)
  return session.logout()
}
