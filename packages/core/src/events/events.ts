import type { AttemptMatch, MintOutcome, RejectionReason } from '../decision/decide.js'
import type { OperationalErrorCode } from '../model/errors.js'
import type { FamilyId, RevocationReason } from '../model/family.js'

interface FamilyEvent {
  /** Epoch milliseconds. */
  readonly at: number
  readonly familyId: FamilyId
  readonly subject: string
  readonly clientId: string
}

/** The revocation of a family, reported at least once. */
interface RevocationEvent extends FamilyEvent {
  /**
   * True if the store's reply was lost, late or rejected: the family may still be active, and the event may be emitted again when the
   * request is repeated. Also true if the family did not exist any more. Absent otherwise.
   */
  readonly unconfirmed?: true
}

/**
 * What happened, for logs, metrics and alerts. No event contains a token, a secret or a key. Events are emitted after the fact. `reuse` and
 * `revoked` are emitted exactly once however often a driver repeats a command, and at least once if the store does not confirm the write.
 */
export type RefreshEvent =
  | (FamilyEvent & { readonly type: 'issued'; readonly offline: boolean })
  | (FamilyEvent & {
      readonly type: Exclude<MintOutcome, 'retried'>
      /** The generation of the token that was returned. */
      readonly generation: number
    })
  | (FamilyEvent & {
      readonly type: 'retried'
      readonly generation: number
      /** Why it was accepted: the same Idempotency-Key, or only the grace window. */
      readonly by: 'idempotency_key' | 'grace'
      /**
       * Whether the request repeats the attempt that rotated. `other` and `without_key` are requests of another attempt: of a second
       * holder of the token, or of a client that sends several refreshes at once.
       */
      readonly attempt: AttemptMatch
    })
  | (RevocationEvent & {
      /** Two parties hold a token of this family, or the code that it was created from. The family was revoked; inform the user. */
      readonly type: 'reuse'
      readonly generation: number
      /** Null if the authorization code that the family was created from was presented again. */
      readonly presentedGeneration: number | null
    })
  | {
      readonly type: 'rejected'
      readonly at: number
      readonly reason: RejectionReason
      /** Null unless the token's tag was verified. */
      readonly familyId: FamilyId | null
      /** The client of the request, which may not be the client of the family. */
      readonly clientId: string
    }
  | (RevocationEvent & { readonly type: 'revoked'; readonly reason: RevocationReason })
  | {
      readonly type: 'fault'
      readonly at: number
      readonly code: OperationalErrorCode
      /** The call that failed, such as `store.rotate` or `beforeRotate`. */
      readonly operation: string
    }
