import type { RefreshTokens, TokenStore } from '@baton/core'

/** A store that a worker has opened, and refresh tokens over it. */
export interface Opening {
  readonly store: TokenStore
  readonly tokens: RefreshTokens
}

/** The commands for a worker. `settings` locate the store and depend on its kind. */
export type Order =
  | { readonly type: 'open'; readonly settings: unknown }
  | { readonly type: 'issue'; readonly subject: string }
  /** All callers read the record, report it, and wait for `go` before they swap. */
  | { readonly type: 'race'; readonly refreshToken: string; readonly callers: number }
  | { readonly type: 'go' }
  | {
      readonly type: 'rotate until death'
      readonly refreshTokens: readonly string[]
      /** The process kills itself after this many rotations, before it reports the last one. With null it does not kill itself. */
      readonly rotations: number | null
    }
  | {
      readonly type: 'call'
      readonly number: number
      readonly method: keyof TokenStore
      readonly input: readonly unknown[]
    }

export type Report =
  | { readonly type: 'done' | 'at the barrier' }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'issued'; readonly refreshToken: string }
  | { readonly type: 'raced'; readonly answers: readonly RaceAnswer[] }
  | { readonly type: 'acknowledged'; readonly session: number; readonly refreshToken: string }
  | { readonly type: 'resolved'; readonly number: number; readonly result: unknown }
  | { readonly type: 'rejected'; readonly number: number; readonly message: string }

export interface RaceAnswer {
  /** The outcome of a success, or the reason of a rejection. */
  readonly outcome: string
  /** Empty for a rejection. */
  readonly refreshToken: string
}
