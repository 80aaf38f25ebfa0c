import { nextTurn } from './batch-calls.js'

export interface ConflictPolicy {
  readonly maxAttempts: number
  /** Returns true for an error after which the engine changed nothing and the same command may succeed. */
  readonly isConflict: (error: unknown) => boolean
  /** Returns true for an error that only follows from a conflict before: then the conflict is thrown. Default: false. */
  readonly isConsequence?: (error: unknown) => boolean
}

/**
 * Runs a command, and again in later turns of the event loop while it fails because of a conflict with another writer. Throws the last
 * error after `maxAttempts`.
 *
 * @example
 * ```ts
 * import { errorCode, retryOnConflict } from '@baton/core/store'
 *
 * declare function write(): Promise<void>
 *
 * // 40001 is the SQLSTATE of a serialization failure.
 * await retryOnConflict(write, { maxAttempts: 10, isConflict: (error) => errorCode(error) === '40001' })
 * ```
 */
export async function retryOnConflict<Result>(
  run: () => Result | Promise<Result>,
  { maxAttempts, isConflict, isConsequence = () => false }: ConflictPolicy,
): Promise<Result> {
  const conflicts: unknown[] = []
  for (;;) {
    try {
      return await run()
    } catch (error) {
      if (isConsequence(error)) throw conflicts[0] ?? error
      if (!isConflict(error) || conflicts.push(error) === maxAttempts) throw error
    }
    await nextTurn()
  }
}

/**
 * Returns the message of an error, or the text of any other value that was thrown.
 *
 * @example
 * ```ts
 * import { errorMessage } from '@baton/core/store'
 *
 * errorMessage(new Error('the table is missing')) // 'the table is missing'
 * ```
 */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/**
 * Returns the `code` of an error of a driver, such as an SQLSTATE; an empty string if there is none.
 *
 * @example
 * ```ts
 * import { errorCode } from '@baton/core/store'
 *
 * const isTableMissing = (error: unknown) => errorCode(error) === '42P01'
 * ```
 */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
