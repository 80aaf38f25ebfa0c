import type { FamilyRecord, Revocation, RotateCommand } from '@baton/core'
import { applyRevocation, applyRotation, isAlive } from '@baton/core/store'

/** A call on one family. */
export type Call =
  | { readonly method: 'create'; readonly record: FamilyRecord }
  | { readonly method: 'find' }
  | { readonly method: 'rotate'; readonly command: RotateCommand }
  | { readonly method: 'revoke'; readonly revocation: Revocation }
  /** Returns the record if the list of its subject contains it. */
  | { readonly method: 'list'; readonly now: number }

/** A family's record, or null where there is none. */
export type State = FamilyRecord | null

export interface Step {
  readonly state: State
  readonly answer: State
}

/** The contract of one call after another: the state of a family after the call, and what the store returns. */
export function stepOf(state: State, call: Call): Step {
  if (call.method === 'list') return { state, answer: state !== null && isAlive(state, call.now) ? state : null }
  const after = stateAfter(state, call)
  return { state: after, answer: after }
}

function stateAfter(state: State, call: Exclude<Call, { method: 'list' }>): State {
  switch (call.method) {
    case 'create':
      return state ?? call.record
    case 'find':
      return state
    case 'rotate':
      return state && applyRotation(state, call.command)
    case 'revoke':
      return state && applyRevocation(state, call.revocation)
  }
}
