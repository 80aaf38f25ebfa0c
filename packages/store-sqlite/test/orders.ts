import type { TokenStore } from '@baton/core'

/** Where a process dies: in the middle of a statement, or between the commit and the answer. Or its parent kills it anywhere. */
export type Death = 'in the statement' | 'before the answer' | 'anywhere'

export type Order =
  | { readonly type: 'open'; readonly driver: string; readonly path: string; readonly now: number }
  | { readonly type: 'issue'; readonly subject: string }
  | { readonly type: 'race'; readonly refreshToken: string; readonly callers: number }
  | { readonly type: 'go' }
  | {
      readonly type: 'rotate until death'
      readonly refreshTokens: string[]
      readonly death: Death
      readonly after: number
    }
  | { readonly type: 'call'; readonly number: number; readonly method: keyof TokenStore; readonly input: unknown[] }

export type Report =
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'issued'; readonly refreshToken: string }
  /** All callers have read the record and none has swapped. */
  | { readonly type: 'at the barrier' }
  | { readonly type: 'raced'; readonly answers: { readonly outcome: string; readonly refreshToken: string }[] }
  | { readonly type: 'acknowledged'; readonly session: number; readonly refreshToken: string }
  | { readonly type: 'answered'; readonly number: number; readonly answer: unknown }
  | { readonly type: 'refused'; readonly number: number; readonly message: string }

export const SECRET = 'a secret of at least thirty-two bytes'
