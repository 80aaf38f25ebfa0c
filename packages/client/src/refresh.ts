import { SessionError } from '@baton/client'
import { locked, type LockState } from './locked.js'
import { consider, type Refresh, type Refreshed, reserve, weigh } from './refresh-state.js'
import type { SessionRecord } from './record.js'
import { retry } from './retry.js'
import type { Setup } from './setup.js'
import { randomText } from './timing.js'
import type { Transport } from './transport.js'
import type { Vault } from './vault.js'

interface RefreshSetup extends Setup {
  readonly vault: Vault
  readonly transport: Transport
}

/** Does what `refresh-state.ts` decides. */
export function createRefresh(setup: RefreshSetup): Refresh {
  const { environment, endpoints, vault, transport } = setup

  return async (stale, held, asksCookie) => {
    /** One turn with the lock, around re-read, POST and commit only. */
    async function turn(lock: LockState): Promise<Refreshed | SessionError> {
      const initial: SessionRecord = {
        // In cookie mode there may be a session that is not stored; one refresh tells.
        session: endpoints.isCookie
          ? { state: 'unknown', attempt: randomText(environment) }
          : { state: 'ended', reason: stale ? 'cleared' : 'no_session' },
        revocations: [],
      }
      const stored = await vault.read()
      if (stored === undefined && !endpoints.isCookie) return new SessionError('unavailable', 'storage failed')
      const record = stored ?? initial
      const base = consider(record, { stale, held: held(), now: environment.now(), asksCookie })
      if (base instanceof SessionError || 'type' in base) return base
      if (lock === 'taken') return new SessionError('timeout', 'lock taken')
      const next = { key: randomText(environment), now: environment.now() }
      const reserved = await vault.change((other) => reserve(other ?? initial, base, next))
      if (!reserved) return new SessionError('unavailable', 'contended')
      const { key } = reserved.session.request
      const { answer } = await transport(endpoints.refresh(base, key), { isBound: base.state === 'live' })
      const attempt = randomText(environment)
      const answered = { answer, now: environment.now(), attempt }
      const revised = await vault.change((other) => other && weigh(other, base, answered))
      const session = revised?.session
      if (session?.state === 'live' && session.attempt === attempt) return { type: 'refreshed', session }
      // What is said of something that is not stored any more says nothing of what is.
      const isOurs = answer instanceof SessionError && (revised || answer.code !== 'signed_out')
      return isOurs ? answer : new SessionError('unavailable', 'contended')
    }

    return retry(setup, () => locked(setup, turn))
  }
}
