import type { PlainRequest, PlainResponse } from '@baton/http'
import { createRng } from './rng.js'
import type { VirtualClock } from './clock.js'
import type { Plan, Rates } from './plan.js'
import type { Server } from './server.js'

interface Message {
  readonly request: PlainRequest
  readonly isOffline: boolean
  readonly isOrphaned: () => boolean
  readonly impersonates: boolean
  readonly onFailure: () => void
  readonly onResponse: (response: PlainResponse) => void
}

export interface Network {
  send(message: Message): void
  /** Starts the planned losses and delays. */
  enableFaults(): void
  /** Stops all losses. */
  disableFaults(): void
}

const MAX_DELAY_MS = 60_000

/** Loses, delays, duplicates and reorders messages in both directions. */
const NO_FAULTS = { lostRequest: 0, lostResponse: 0, copied: 0, slow: 0 }

export interface NetworkWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly server: Server
  /** Called when the server throws, which is always an error. */
  readonly onServerError: (error: unknown) => void
}

export function createNetwork({ plan, clock, server, onServerError }: NetworkWorld): Network {
  const rng = createRng(`${plan.seed}/network`)
  let rates: Pick<Rates, 'lostRequest' | 'lostResponse' | 'copied' | 'slow'> = NO_FAULTS
  const delay = () => (rng.chance(rates.slow) ? rng.between(500, MAX_DELAY_MS) : rng.between(10, 120))

  /** Reports an error to the sender, or nothing at all. */
  function fail({ onFailure }: Message): void {
    if (rng.chance(0.5)) clock.after(rng.between(1, 500), onFailure)
  }

  function deliver(message: Message, isCopy: boolean): void {
    const { request, impersonates } = message
    const isOrphaned = () => isCopy || message.isOrphaned()
    server.serve({ request, impersonates, isOrphaned }).then((response) => {
      if (isCopy) return
      if (rng.chance(rates.lostResponse)) {
        fail(message)
        return
      }
      clock.after(delay(), () => {
        message.onResponse(response)
      })
    }, onServerError)
  }

  return {
    send(message) {
      if (message.isOffline || rng.chance(rates.lostRequest)) {
        fail(message)
        return
      }
      clock.after(delay(), () => {
        deliver(message, false)
      })
      if (rng.chance(rates.copied))
        clock.after(delay() + rng.between(0, MAX_DELAY_MS), () => {
          deliver(message, true)
        })
    },
    enableFaults() {
      rates = plan.rates
    },
    disableFaults() {
      rates = NO_FAULTS
    },
  }
}
