import type { Environment } from './environment.js'
import type { Emitter } from './events.js'
import type { PendingRevocation } from './record.js'
import type { Transport } from './transport.js'
import type { Vault } from './vault.js'

/** Tells the server which sessions are over, however long that takes: what it has not heard of is kept with the session. */
export interface Revocations {
  /** Resolves to whether everything that there was to tell has been heard. Never rejects. */
  flush(): Promise<boolean>
  /** Adds one, and tells it. */
  add(revocation: PendingRevocation): Promise<void>
}

export interface RevocationsOptions {
  readonly environment: Environment
  readonly vault: Vault
  readonly transport: Transport
  readonly emitter: Emitter
  /** Runs its work while nobody refreshes, where that matters. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>
}

const RETRY_MS = 60_000

export function createRevocations({ environment, vault, transport, emitter, alone }: RevocationsOptions): Revocations {
  let last: Promise<unknown> = Promise.resolve()
  let cancelRetry: () => void = () => undefined

  async function tellAll(): Promise<boolean> {
    let pending = 0
    let failed = 0
    for (const revocation of (await vault.read())?.revocations ?? []) {
      const result = await transport.revoke(revocation)
      if (result === 'later') pending += 1
      else await forget(revocation)
      if (result === 'failed') failed += 1
    }
    if (pending > 0) {
      emitter.emit('revocationQueued', { pending })
      cancelRetry()
      cancelRetry = environment.setTimer(RETRY_MS, () => void inTurn(), 'background')
    }
    return pending + failed === 0
  }

  function forget({ refreshToken, sid }: PendingRevocation): Promise<void> {
    return vault.change((record) => {
      if (record === null) return null
      const revocations = record.revocations.filter((other) => other.refreshToken !== refreshToken || other.sid !== sid)
      return { ...record, revocations }
    })
  }

  async function flush(): Promise<boolean> {
    const isEmpty = ((await vault.read())?.revocations ?? []).length === 0
    return isEmpty || alone(tellAll)
  }

  /** One after the other: who asks while another one runs wants to know about what has been added since. */
  function inTurn(): Promise<boolean> {
    const result = last.then(flush)
    last = result
    return result
  }

  return {
    flush: inTurn,
    async add(revocation) {
      await vault.change((record) => record && { ...record, revocations: [...record.revocations, revocation] })
      await inTurn()
    },
  }
}
