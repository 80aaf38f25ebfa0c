import { SessionError } from '../platform/errors.js'
import type { SessionCredentials } from '../protocol/requests.js'
import type { RunRequest, SessionContext } from './context.js'
import type { Transport } from '../protocol/transport.js'

interface RevocationsSetup extends SessionContext {
  readonly transport: Transport
  readonly run: RunRequest
}

const RETRY_MS = 60_000

/**
 * Sends the pending revocations, which are stored with the session until the server confirms them. Resolves with true if the server has
 * confirmed all of them. Never rejects.
 */
export function createRevocations(setup: RevocationsSetup): () => Promise<boolean> {
  const { environment, endpoints, emit, records, transport, run } = setup
  let last = Promise.resolve(true)
  let cancelRetry: () => void = () => undefined

  async function tellAll(): Promise<boolean> {
    let pending = 0
    let isHeard = true
    for (const revocation of (await records.read())?.revocations ?? []) {
      const { ok, answer } = await run(() =>
        transport(endpoints.revoke(revocation), { isBound: true, isOptional: true }),
      )
      // The server ended the session when its cookie was replaced.
      const code = !ok && answer instanceof SessionError && answer.reason !== 'replaced' && answer.code
      if (code) isHeard = false
      if (code === 'unavailable') pending += 1
      else await forget(revocation)
    }
    if (pending > 0) {
      emit('revocationQueued', { pending })
      cancelRetry()
      cancelRetry = environment.setTimer(RETRY_MS, () => void flush(), 'background')
    }
    return isHeard
  }

  function forget({ refreshToken, sid }: SessionCredentials): Promise<unknown> {
    const isOther = (other: SessionCredentials) => other.refreshToken !== refreshToken || other.sid !== sid
    return records.change((record) => record && { ...record, revocations: record.revocations.filter(isOther) })
  }

  /** One after the other: a call while another one runs also sends the revocations that were added since. */
  const flush = () => (last = last.then(tellAll))
  return flush
}
