import { SessionError } from '../platform/errors.js'
import { withLock, type LockState } from './with-lock.js'
import { decideBeforeRequest, type Refresh, type Refreshed, reserve, applyResponse } from './refresh-decisions.js'
import type { SessionMembers, SessionRecord } from './record.js'
import { retry } from './retry.js'
import type { SessionContext } from './context.js'
import { randomText } from '../platform/timing.js'
import type { Transport } from '../protocol/transport.js'

interface RefreshSetup extends SessionContext {
  readonly transport: Transport
}

/** Returns the function that refreshes once. The rules are in `refresh-decisions.ts`. */
export function createRefresh(setup: RefreshSetup): Refresh {
  const { environment, endpoints, records, transport } = setup

  return async (stale, held, mayTryCookie) => {
    /** Reads, sends and stores while the lock is held. */
    async function refreshWithLock(lock: LockState): Promise<Refreshed | SessionError> {
      const initial: SessionRecord = {
        // In cookie mode there may be a session that is not stored; one refresh finds out.
        session: endpoints.isCookie
          ? { state: 'unknown', generationId: randomText(environment) }
          : { state: 'ended', reason: stale ? 'cleared' : 'no_session' },
        revocations: [],
      }
      const stored = await records.read()
      if (stored === undefined && !endpoints.isCookie) return new SessionError('unavailable', 'storage failed')
      const record = stored ?? initial
      const base = decideBeforeRequest(record, { stale, held: held(), now: environment.now(), mayTryCookie })
      if (base instanceof SessionError || 'type' in base) return base
      if (lock === 'taken') return new SessionError('timeout', 'lock taken')
      const next = { key: randomText(environment), now: environment.now() }
      const reserved = await records.change((other) => reserve(other ?? initial, base, next))
      if (!reserved) return new SessionError('unavailable', 'contended')
      const { key } = reserved.session.request
      const sent: SessionMembers = base
      const { refreshToken = null, sid = null } = sent
      const { answer } = await transport(endpoints.refresh({ refreshToken, sid }, key), {
        isBound: base.state === 'live',
      })
      const generationId = randomText(environment)
      const facts = { answer, now: environment.now(), generationId }
      const updated = await records.change((other) => other && applyResponse(other, base, facts))
      const session = updated?.session
      if (session?.state === 'live' && session.generationId === generationId) return { type: 'refreshed', session }
      // A rejection of a session that is no longer stored does not apply to the stored one.
      const isCurrent = answer instanceof SessionError && (updated || answer.code !== 'signed_out')
      return isCurrent ? answer : new SessionError('unavailable', 'contended')
    }

    return retry(setup, () => withLock(setup, refreshWithLock))
  }
}
