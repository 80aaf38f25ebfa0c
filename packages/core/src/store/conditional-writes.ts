import { declareOptions, func, required, text } from '../options.js'
import type { FamilyId, FamilyRecord, Revocation } from '../model/family.js'
import { type RotateCommand, rotationApplies } from './apply.js'

/** The statements of an engine whose writes do not return the record that forbade them. */
export interface ConditionalStatements {
  /** Inserts the record. Resolves with the stored record, or with null if the id exists. */
  insert(record: FamilyRecord): Promise<FamilyRecord | null>
  /** Rotates or renews. Resolves with the stored record, or with null if the command does not apply. The first attempt is 1. */
  rotate(command: RotateCommand, attempt: number): Promise<FamilyRecord | null>
  /** Revokes. Resolves with the stored record, or with null if it is missing or revoked already. */
  revoke(id: FamilyId, revocation: Revocation): Promise<FamilyRecord | null>
  /** Reads the record in a separate statement: within the statement of the write, it might be older than the write that won. */
  find(id: FamilyId): Promise<FamilyRecord | null>
  /** The store, for the error message. */
  readonly caller: string
  /** Completes the error message: why the engine might neither apply a write nor return a record that forbids it. */
  readonly advice: string
}

const MAX_WRITES = 10

const conditionalStatements = declareOptions({
  insert: required(func<ConditionalStatements['insert']>()),
  rotate: required(func<ConditionalStatements['rotate']>()),
  revoke: required(func<ConditionalStatements['revoke']>()),
  find: required(func<ConditionalStatements['find']>()),
  caller: required(text()),
  advice: required(text()),
})

/**
 * Returns the methods `create`, `rotate` and `revoke` of a store. Each runs its statement and, if that changed nothing, reads the record.
 * While the record contradicts the statement, because another write came between the two, both run again. Throws
 * `ConfigurationError` for invalid statements.
 *
 * @example
 * ```ts
 * import type { FamilyId, FamilyRecord, Revocation, RotateCommand } from '@baton/core'
 * import { conditionalWrites } from '@baton/core/store'
 *
 * declare const statements: {
 *   insert(record: FamilyRecord): Promise<FamilyRecord | null>
 *   rotate(command: RotateCommand): Promise<FamilyRecord | null>
 *   revoke(id: FamilyId, revocation: Revocation): Promise<FamilyRecord | null>
 *   find(id: FamilyId): Promise<FamilyRecord | null>
 * }
 *
 * const { create, rotate, revoke } = conditionalWrites({
 *   ...statements,
 *   caller: 'myStore',
 *   advice: 'check the triggers of the table',
 * })
 * ```
 */
export function conditionalWrites(statements: ConditionalStatements) {
  const { caller, advice } = conditionalStatements.parse('conditionalWrites', statements)

  async function writeOrFind<Forbidding extends FamilyRecord | null>(
    id: FamilyId,
    write: (attempt: number) => Promise<FamilyRecord | null>,
    forbids: (found: FamilyRecord | null) => found is Forbidding,
  ): Promise<FamilyRecord | Forbidding> {
    for (let attempt = 1; attempt <= MAX_WRITES; attempt += 1) {
      const written = await write(attempt)
      if (written !== null) return written
      const found = await statements.find(id)
      if (forbids(found)) return found
    }
    throw new Error(`${caller}: the engine finds the family and does not change it; ${advice}`)
  }

  return {
    create: (record: FamilyRecord) =>
      // A record that was there may have been purged before it is read.
      writeOrFind(
        record.id,
        () => statements.insert(record),
        (found): found is FamilyRecord => found !== null,
      ),

    rotate: (command: RotateCommand) =>
      writeOrFind(
        command.id,
        (attempt) => statements.rotate(command, attempt),
        (found): found is FamilyRecord | null => !rotationApplies(found, command),
      ),

    revoke: (id: FamilyId, revocation: Revocation) =>
      writeOrFind(
        id,
        () => statements.revoke(id, revocation),
        (found): found is FamilyRecord | null => found?.revocation !== null,
      ),
  }
}
