import type { PlainRequest, PlainResponse } from '@baton/http'
import { chancesOf } from './chances.js'
import type { VirtualClock } from './clock.js'
import type { Plan, Rates } from './plan.js'
import type { Server } from './server.js'

interface Message {
  readonly request: PlainRequest
  readonly isOffline: boolean
  readonly isStray: () => boolean
  readonly pretends: boolean
  readonly onFailure: () => void
  readonly onAnswer: (answer: PlainResponse) => void
}

export interface Network {
  send(message: Message): void
  /** From here on it loses and delays as planned; before, somebody signs in. */
  unleash(): void
  /** From here on it loses nothing. */
  heal(): void
}

const SLOWEST_MS = 60_000

/** Loses, delays, copies and overtakes, in both directions. */
const CALM = { lostRequest: 0, lostAnswer: 0, copied: 0, slow: 0 }

export interface NetworkWorld {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly server: Server
  /** The server has thrown, which it never may. */
  readonly onBroken: (error: unknown) => void
}

export function createNetwork({ plan, clock, server, onBroken }: NetworkWorld): Network {
  const chances = chancesOf(`${plan.seed}/network`)
  let rates: Pick<Rates, 'lostRequest' | 'lostAnswer' | 'copied' | 'slow'> = CALM
  const delay = () => (chances.happens(rates.slow) ? chances.between(500, SLOWEST_MS) : chances.between(10, 120))

  /** An error that the sender sees, or nothing at all. */
  function fail({ onFailure }: Message): void {
    if (chances.happens(0.5)) clock.after(chances.between(1, 500), onFailure)
  }

  function deliver(message: Message, isCopy: boolean): void {
    const { request, pretends } = message
    const isStray = () => isCopy || message.isStray()
    server.serve({ request, pretends, isStray }).then((answer) => {
      if (isCopy) return
      if (chances.happens(rates.lostAnswer)) {
        fail(message)
        return
      }
      clock.after(delay(), () => {
        message.onAnswer(answer)
      })
    }, onBroken)
  }

  return {
    send(message) {
      if (message.isOffline || chances.happens(rates.lostRequest)) {
        fail(message)
        return
      }
      clock.after(delay(), () => {
        deliver(message, false)
      })
      if (chances.happens(rates.copied))
        clock.after(delay() + chances.between(0, SLOWEST_MS), () => {
          deliver(message, true)
        })
    },
    unleash() {
      rates = plan.rates
    },
    heal() {
      rates = CALM
    },
  }
}
