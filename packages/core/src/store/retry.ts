import type { FamilyRecord } from '../family.js'
import { nextTurn } from './batch-calls.js'

export interface ConflictPolicy {
  readonly maxAttempts: number
  /** Returns true for an error after which the engine changed nothing and the same command may succeed. */
  readonly isConflict: (error: unknown) => boolean
}

/** Runs a command again, in a later turn of the event loop, while it fails because of a conflict with another writer. */
export async function retryOnConflict<Result>(
  run: () => Result | Promise<Result>,
  { maxAttempts, isConflict }: ConflictPolicy,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run()
    } catch (error) {
      if (attempt === maxAttempts || !isConflict(error)) throw error
    }
    await nextTurn()
  }
}

export interface ConditionalWrite {
  /** Resolves with the record if the write applied, else with null. The first attempt is 1. */
  readonly write: (attempt: number) => Promise<FamilyRecord | null>
  /** Reads the record in a statement of its own: within the statement of the write, it might be older than the write that won. */
  readonly find: () => Promise<FamilyRecord | null>
  /** Returns true if the write would apply to the record that `find` returned. */
  readonly applies: (found: FamilyRecord | null) => boolean
  /** The store, for the error message. */
  readonly caller: string
  /** Completes the error message: why the engine might neither apply the write nor return a record that forbids it. */
  readonly advice: string
}

const MAX_WRITES = 10

/**
 * Returns the record as it stands after a conditional write, for engines whose write does not return the record that forbade it. Writes
 * again while the record contradicts the result, because another write came between the two.
 */
export function writeOrFind(
  insert: ConditionalWrite & { readonly applies: (found: FamilyRecord | null) => found is null },
): Promise<FamilyRecord>
export function writeOrFind(update: ConditionalWrite): Promise<FamilyRecord | null>
export async function writeOrFind({
  write,
  find,
  applies,
  caller,
  advice,
}: ConditionalWrite): Promise<FamilyRecord | null> {
  for (let attempt = 1; attempt <= MAX_WRITES; attempt += 1) {
    const written = await write(attempt)
    if (written !== null) return written
    const found = await find()
    if (!applies(found)) return found
  }
  throw new Error(`${caller}: the engine finds the family and does not change it; ${advice}`)
}
