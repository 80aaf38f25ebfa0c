import type { RefreshTokens, TokenStore } from '@baton/core'

/** What a worker opens when it is told to: a store, and refresh tokens over it. */
export interface Opening {
  readonly store: TokenStore
  readonly tokens: RefreshTokens
}

/** What a worker can be told. `settings` are the store's own: they say where it is. */
export type Order =
  | { readonly type: 'open'; readonly settings: unknown }
  | { readonly type: 'issue'; readonly subject: string }
  /** All callers read the record, say so, and wait for `go` before they swap. */
  | { readonly type: 'race'; readonly refreshToken: string; readonly callers: number }
  | { readonly type: 'go' }
  | {
      readonly type: 'rotate until death'
      readonly refreshTokens: readonly string[]
      /** The process kills itself after this many rotations, before it tells of the last one; null leaves that to others. */
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
  | { readonly type: 'answered'; readonly number: number; readonly answer: unknown }
  | { readonly type: 'refused'; readonly number: number; readonly message: string }

export interface RaceAnswer {
  /** How it succeeded, or why it did not. */
  readonly outcome: string
  /** Empty where it did not. */
  readonly refreshToken: string
}
