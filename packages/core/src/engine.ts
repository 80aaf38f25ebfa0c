import { OperationalError, type OperationalErrorCode } from './errors.js'
import type { RefreshEvent } from './events.js'
import type { CurrentToken, Family, FamilyRecord } from './family.js'
import type { ForeignTokens } from './foreign.js'
import type { KeyRing } from './keys.js'
import type { Policy } from './policy.js'
import type { TokenStore } from './store.js'
import type { Random } from './token.js'

/** What `beforeRotate` sees. */
export interface BeforeRotateContext {
  readonly family: Family
}

/** What `beforeRotate` says. Nothing (undefined) lets the refresh go on; anything else without a boolean `active` is a fault. */
export interface BeforeRotateVerdict {
  /** False refuses with `invalid_grant` and consumes nothing; to end the families as well, call `revokeSubject`. */
  readonly active: boolean
  /** Handed to the access-token function: roles, a tenant, whatever has to be fresh. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** Families of this subject created before this instant (epoch milliseconds) are refused, such as at a password change. */
  readonly validAfter?: number | null
}

/** Asks the app before every answer that hands out tokens: is the account still active, which claims are fresh? */
export type BeforeRotate = (context: BeforeRotateContext) => Promise<BeforeRotateVerdict | undefined>

/** What every operation works with. */
export interface Engine {
  readonly store: TokenStore
  readonly ring: KeyRing
  readonly tokenPrefix: string
  readonly policy: Policy
  readonly beforeRotate: BeforeRotate | undefined
  readonly accept: ForeignTokens | undefined
  readonly now: () => number
  readonly random: Random
  readonly nonce: () => string
  readonly emit: (event: RefreshEvent) => void
}

/** Reports a fault and returns it, to be thrown. */
export function fault(
  engine: Engine,
  code: OperationalErrorCode,
  operation: string,
  message: string,
  cause?: unknown,
): OperationalError {
  engine.emit({ type: 'fault', at: engine.now(), code, operation })
  return new OperationalError(code, message, { cause })
}

/** Asks a function of the app's. What it throws is a fault: nobody is signed out by it. */
export async function callHook<Answer>(engine: Engine, name: string, run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run()
  } catch (cause) {
    throw fault(engine, 'hook_failed', name, `${name} threw`, cause)
  }
}

export function keyMissing({ keyId }: Pick<CurrentToken, 'keyId'>): string {
  return `the family was rotated under key ${keyId}, which is not in secrets here; give every instance the same list`
}

/** Whom an event is about. */
export function namesOf({ id, grant }: Pick<FamilyRecord, 'id' | 'grant'>) {
  return { familyId: id, subject: grant.subject, clientId: grant.clientId }
}
