import { type ErrorCodeOf, readGrant } from './answer.js'
import type { Connection, RunRequest, SharedState } from './endpoints.js'
import { createRevocations } from './revocations.js'
import type { Setup } from './setup.js'
import { createTransport } from './transport.js'
import type { Vault } from './vault.js'

/** What every kind of endpoints does alike; `schedule` decides when the requests of sign-in and sign-out run. */
export function connectWith(schedule: (state: SharedState) => RunRequest, errorCode?: ErrorCodeOf) {
  return (setup: Setup & { readonly vault: Vault }): Connection => {
    const transport = createTransport(setup, errorCode)
    const run = schedule(setup)
    return { readGrant, transport, run, flush: createRevocations({ ...setup, transport, run }) }
  }
}
