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

/** Returns the `code` of an error of a driver, such as an SQLSTATE; an empty string if there is none. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
