import { SessionError } from './errors.js'
import type { RunRequest } from './endpoints.js'
import type { PendingRevocation } from './record.js'
import type { Setup } from './setup.js'
import type { Transport } from './transport.js'
import type { Vault } from './vault.js'

interface RevocationsSetup extends Setup {
  readonly vault: Vault
  readonly transport: Transport
  readonly run: RunRequest
}

const RETRY_MS = 60_000
const PROOF_ERRORS = ['invalid_dpop_proof', 'use_dpop_nonce']

/**
 * Tells the server which sessions are over, however long that takes: what it has not heard of is kept with the session. Resolves to
 * whether everything that there was to tell has been heard. Never rejects.
 */
export function createRevocations(setup: RevocationsSetup): () => Promise<boolean> {
  const { environment, endpoints, emit, vault, transport, run } = setup
  let last = Promise.resolve(true)
  let cancelRetry: () => void = () => undefined

  async function tellAll(): Promise<boolean> {
    let pending = 0
    let isHeard = true
    for (const revocation of (await vault.read())?.revocations ?? []) {
      const { ok, answer } = await run(() => revoke(revocation))
      const error = !ok && answer instanceof SessionError ? answer : null
      // A cookie that is of another session by now has ended the one that it replaced.
      if (error && error.reason !== 'replaced') isHeard = false
      if (error?.code === 'unavailable') pending += 1
      else await forget(revocation)
    }
    if (pending > 0) {
      emit('revocationQueued', { pending })
      cancelRetry()
      cancelRetry = environment.setTimer(RETRY_MS, () => void flush(), 'background')
    }
    return isHeard
  }

  /**
   * Sends no proof at first: few servers ask for one, and the CORS rules of other servers may not allow its header. A server that
   * does ask gets one.
   */
  async function revoke(revocation: PendingRevocation) {
    const call = endpoints.revoke(revocation)
    const reply = await transport(call, null)
    const needsProof = reply.answer instanceof SessionError && PROOF_ERRORS.includes(reply.answer.reason)
    return needsProof ? transport(call, { isBound: true }) : reply
  }

  function forget({ refreshToken, sid }: PendingRevocation): Promise<unknown> {
    const isOther = (other: PendingRevocation) => other.refreshToken !== refreshToken || other.sid !== sid
    return vault.change((record) => record && { ...record, revocations: record.revocations.filter(isOther) })
  }

  /** One after the other: who asks while another one runs wants to know about what has been added since. */
  const flush = () => (last = last.then(tellAll))
  return flush
}
