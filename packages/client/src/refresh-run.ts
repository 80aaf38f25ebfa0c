import type { Environment } from './environment.js'
import type { Lock } from './lock.js'
import { parse, serialize } from './record.js'
import {
  begin,
  type Chance,
  type Effect,
  type Fact,
  next,
  type Outcome,
  type Rules,
  type Seen,
} from './refresh-state.js'
import { type SessionStorage, sharedName } from './storage.js'
import { deadline, fraction, randomText } from './timing.js'
import type { Transport } from './transport.js'

export interface Refreshed {
  readonly outcome: Outcome
  /** When its last request was sent, on the clock that never goes back; null where it sent none. */
  readonly sentElapsed: number | null
}

export interface RefreshWorld {
  readonly environment: Environment
  readonly storage: SessionStorage
  readonly lock: Lock
  readonly transport: Transport
  readonly rules: Rules
  readonly lockTimeoutMs: number
  /** Whose access token the caller has by now, and it works. */
  readonly held: () => Seen | null
  readonly wait: (effect: Extract<Effect, { kind: 'wait' }>) => Promise<void>
}

/** Does what the state machine says: all that a refresh decides is in `refresh-state.ts`, and all that happens is here. */
export async function runRefresh(world: RefreshWorld, stale: Seen | null): Promise<Refreshed> {
  const { environment, storage, lock, transport, rules, lockTimeoutMs, held, wait } = world
  let release: () => void = () => undefined
  let text: string | null = null
  let sentElapsed: number | null = null

  const chance = (): Chance => ({
    now: environment.now(),
    attempt: randomText(environment),
    jitter: fraction(environment),
  })

  async function perform(effect: Exclude<Effect, { kind: 'settle' }>): Promise<Fact> {
    switch (effect.kind) {
      case 'acquire': {
        const { signal, cancel } = deadline(environment, lockTimeoutMs)
        try {
          release = await lock.acquire(sharedName(storage), signal)
          return { kind: 'acquired' }
        } catch {
          return { kind: 'not_acquired' }
        } finally {
          cancel()
        }
      }
      case 'read':
        text = await storage.read()
        return { kind: 'read', record: parse(text), chance: chance(), held: held() }
      case 'write':
        return { kind: 'written', ok: await storage.swap(text, serialize(effect.record)) }
      case 'post': {
        const { answer, sentAt, ...sent } = await transport.refresh(effect.request)
        ;({ sentElapsed } = sent)
        return { kind: 'answered', answer, sentAt, chance: chance() }
      }
      case 'release':
        release()
        return { kind: 'released' }
      case 'wait':
        await wait(effect)
        return { kind: 'waited' }
    }
  }

  try {
    let { state, effect } = begin(stale)
    while (effect?.kind !== 'settle') {
      if (effect === null) throw new Error('an effect was answered by a fact of another kind')
      ;({ state, effect } = next(state, await perform(effect), rules))
    }
    return { outcome: effect.outcome, sentElapsed }
  } finally {
    // Giving it back twice does nothing; keeping it would stop everybody.
    release()
  }
}
