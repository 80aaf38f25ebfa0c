import { isBusy, patiently, type SqliteDatabase, type SqliteParameters, type SqliteStatement } from './database.js'

/** As it is now: apps replace timers in their tests, and what waits here has to be answered all the same. */
const { setImmediate } = globalThis

/** Runs one writing statement and resolves with its rows, once they are committed. */
export type Write = (statement: SqliteStatement, parameters: SqliteParameters) => Promise<unknown[]>

/** At most this many share a transaction, a few milliseconds; others get their turn in between. */
const MOST_TOGETHER = 256

type Result = { readonly rows: unknown[] } | { readonly error: unknown }

interface Waiting {
  readonly run: () => unknown[]
  readonly resolve: (rows: unknown[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * Lets writes that wait together share one transaction, and so one write to the disk: that costs far more than all else. Nobody is
 * answered before the commit. A statement that fails changes nothing and leaves the transaction to the others. Where the whole
 * transaction fails each runs alone, so that an error is only the error of the call that made it.
 */
export function groupCommit(db: SqliteDatabase): Write {
  let waiting: Waiting[] = []

  function commitNext(): void {
    const group = waiting.slice(0, MOST_TOGETHER)
    waiting = waiting.slice(MOST_TOGETHER)
    if (waiting.length > 0) setImmediate(commitNext)
    if (group.length === 1) runEachAlone(group)
    else
      patiently(() => inOneTransaction(db, group)).then(
        (results) => {
          for (const [index, result] of results.entries()) settle(group[index], result)
        },
        (error: unknown) => {
          // Whoever held the file for all of busy_timeout would make each of them wait as long again.
          if (isBusy(error)) for (const { reject } of group) reject(error)
          else runEachAlone(group)
        },
      )
  }

  /** While several requests are dealt with others arrive, and they come along if they get one turn more. */
  function commitSoon(): void {
    if (waiting.length === 1) commitNext()
    else setImmediate(commitNext)
  }

  return (statement, parameters) =>
    new Promise((resolve, reject) => {
      const length = waiting.push({ run: () => statement.all(parameters), resolve, reject })
      // By then every request that has arrived meanwhile has had its turn.
      if (length === 1) setImmediate(commitSoon)
    })
}

function runEachAlone(group: readonly Waiting[]): void {
  for (const { run, resolve, reject } of group) patiently(run).then(resolve, reject)
}

function settle(call: Waiting | undefined, result: Result): void {
  if ('rows' in result) call?.resolve(result.rows)
  else call?.reject(result.error)
}

/**
 * In one go, so that nothing else on this connection becomes part of it. Some errors, such as a full disk, end the transaction: then
 * the commit fails, and running each again does no harm to what was done since.
 */
function inOneTransaction(db: SqliteDatabase, group: readonly Waiting[]): Result[] {
  db.exec('BEGIN IMMEDIATE')
  try {
    const results = group.map(resultOf)
    db.exec('COMMIT')
    return results
  } catch (error) {
    rollBack(db)
    throw error
  }
}

function resultOf({ run }: Waiting): Result {
  try {
    return { rows: run() }
  } catch (error) {
    return { error }
  }
}

function rollBack(db: SqliteDatabase): void {
  try {
    db.exec('ROLLBACK')
  } catch {
    // Some errors, such as a full disk, have made SQLite do it already. It refuses for no other reason.
  }
}
