import type { AttemptMatch, MintOutcome, Objection, RefusalReason } from './decide.js'
import type { OperationalErrorCode } from './errors.js'
import type { FamilyId, RevocationReason } from './family.js'

interface OfFamily {
  /** Epoch milliseconds. */
  readonly at: number
  readonly familyId: FamilyId
  readonly subject: string
  readonly clientId: string
}

/** The end of a family, reported at least once. */
interface End extends OfFamily {
  /**
   * True where the reply of the store was lost, late or rejected: the family may still be alive, and the event may come again when the
   * request is repeated. Also true where the family was gone when it was to be ended. Absent otherwise.
   */
  readonly unconfirmed?: true
}

/**
 * What happened, for logs, metrics and alarms. No event carries a token, a secret or a key. Emitted after the fact. `reuse` and
 * `revoked` are emitted exactly once however often a driver repeats a command, and at least once where the store does not confirm it.
 */
export type RefreshEvent =
  | (OfFamily & { readonly type: 'issued'; readonly offline: boolean })
  | (OfFamily & {
      readonly type: Exclude<MintOutcome, 'retried'>
      /** The generation of the token that was handed out. */
      readonly generation: number
    })
  | (OfFamily & {
      readonly type: 'retried'
      readonly generation: number
      /** What made it a retry: the same Idempotency-Key, or only that it came within the grace window. */
      readonly by: 'idempotency_key' | 'grace'
      /**
       * Whether the request repeats the attempt that rotated. `other` and `without_key` are requests of another attempt: of a second
       * holder of the token, or of a client that sends several refreshes at once.
       */
      readonly attempt: AttemptMatch
    })
  | (End & {
      /** Two parties hold this family, or the code that it began with. It has been ended; tell its owner. */
      readonly type: 'reuse'
      readonly generation: number
      /** Null: what came again was the authorization code that the family began with. */
      readonly presentedGeneration: number | null
    })
  | {
      readonly type: 'refused'
      readonly at: number
      readonly reason: RefusalReason
      readonly objection: Objection | null
      /** Known once the token's tag has been verified. */
      readonly familyId: FamilyId | null
      /** The client that asked, which need not be the family's. */
      readonly clientId: string
    }
  | (End & { readonly type: 'revoked'; readonly reason: RevocationReason })
  | {
      readonly type: 'fault'
      readonly at: number
      readonly code: OperationalErrorCode
      /** The call that failed, such as `store.rotate` or `beforeRotate`. */
      readonly operation: string
    }
