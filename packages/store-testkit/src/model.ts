import type { FamilyRecord, Revocation, RotateCommand } from '@baton/core'
import { rotated } from './records.js'

/** A call on one family. */
export type Call =
  | { readonly method: 'create'; readonly record: FamilyRecord }
  | { readonly method: 'find' }
  | { readonly method: 'rotate'; readonly command: RotateCommand }
  | { readonly method: 'revoke'; readonly revocation: Revocation }
  /** Answers the record if its subject's list has it. */
  | { readonly method: 'list'; readonly now: number }

/** A family's record, or null where there is none. */
export type State = FamilyRecord | null

export interface Step {
  readonly state: State
  readonly answer: State
}

/** The contract, one call after another: what becomes of a family, and what the store answers. */
export function stepOf(state: State, call: Call): Step {
  if (call.method === 'list') return { state, answer: state !== null && isAlive(state, call.now) ? state : null }
  const after = stateAfter(state, call)
  return { state: after, answer: after }
}

export function isAlive({ revocation, expiresAt }: FamilyRecord, now: number): boolean {
  return revocation === null && expiresAt > now
}

function stateAfter(state: State, call: Exclude<Call, { method: 'list' }>): State {
  switch (call.method) {
    case 'create':
      return state ?? call.record
    case 'find':
      return state
    case 'rotate':
      return state?.current.verifier === call.command.expect && isAlive(state, call.command.now)
        ? rotated(state, call.command)
        : state
    case 'revoke':
      return state === null || state.revocation !== null ? state : { ...state, revocation: call.revocation }
  }
}
