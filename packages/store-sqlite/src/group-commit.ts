import { batchCalls } from '@baton/core/store'
import { isBusy, retryWhileBusy, type SqliteDatabase, type SqliteParameters, type SqliteStatement } from './database.js'

/** A transaction of this size takes a few milliseconds. */
const MAX_WRITES_PER_TRANSACTION = 256

type Run = () => unknown[]

/**
 * Returns a function that runs a writing statement and resolves with its rows. All writes of one batch are one transaction with one write
 * to the disk, and no call resolves before the commit. A statement that fails changes nothing, and the others commit. If the
 * transaction fails, each write runs alone, so that an error reaches only the call that caused it.
 */
export function groupCommit(db: SqliteDatabase) {
  const write = batchCalls(
    (runs: readonly Run[]) => retryWhileBusy(() => runInTransaction(db, () => runs.map(settle))),
    {
      max: MAX_WRITES_PER_TRANSACTION,
      runOne: (run: Run) => retryWhileBusy(run),
      // If another process held the file for all of busy_timeout, each write alone would block this process for as long again.
      isRetryable: (error) => !isBusy(error),
    },
  )
  return (statement: SqliteStatement, parameters: SqliteParameters): Promise<unknown[]> =>
    write(() => statement.all(parameters))
}

function settle(run: Run): PromiseSettledResult<unknown[]> {
  try {
    return { status: 'fulfilled', value: run() }
  } catch (reason) {
    return { status: 'rejected', reason }
  }
}

/**
 * Runs without a pause, so that no other use of this connection becomes part of the transaction. Some errors, such as a full disk, end
 * the transaction: then the commit fails, and running each write again does not repeat what has been written since.
 */
export function runInTransaction<Result>(db: SqliteDatabase, run: () => Result): Result {
  // IMMEDIATE takes the write lock before the first read, so that a second process reads what the first one wrote.
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = run()
    db.exec('COMMIT')
    return result
  } catch (error) {
    try {
      db.exec('ROLLBACK')
    } catch {
      // The error has ended the transaction already. ROLLBACK fails for no other reason.
    }
    throw error
  }
}
