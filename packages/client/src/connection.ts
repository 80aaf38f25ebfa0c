import { type ErrorCodeOf, readGrant } from './answer.js'
import type { Connection, RunRequest, SharedState } from './endpoints.js'
import { createRefresh } from './refresh.js'
import { retry } from './retry.js'
import { createRevocations } from './revocations.js'
import type { Setup } from './setup.js'
import { createTransport } from './transport.js'
import type { Vault } from './vault.js'

/** Connects a session to its endpoints. `schedule` decides when the requests of sign-in and sign-out run. */
export function connectWith(schedule: (state: SharedState) => RunRequest, errorCode?: ErrorCodeOf) {
  return (setup: Setup & { readonly vault: Vault }): Connection => {
    const transport = createTransport(setup, errorCode)
    const run = schedule(setup)
    return {
      refresh: createRefresh({ ...setup, transport }),
      async exchange(parameters, key) {
        const call = setup.endpoints.exchange(parameters, key)
        const send = async () => (await transport(call, { isBound: false })).answer
        // Without the key a repetition could be taken for reuse of the code.
        return call?.headers['idempotency-key'] ? retry(setup, send) : send()
      },
      run,
      flush: createRevocations({ ...setup, transport, run }),
      readGrant,
    }
  }
}
