/** At most this many rows go in one statement, a few milliseconds. */
const ROWS_PER_DELETE = 500
/** At most this many pages of the table are looked at in one statement. */
const PAGES_PER_LOOK = 256

export interface PurgeStatements {
  /** Deletes up to `most` rows and returns how many. */
  forget(now: number, most: number): Promise<number>
  deleteEnded(now: number, most: number): Promise<number>
  deleteDead(now: number, most: number, from: string, to: string): Promise<number>
  /** How many pages the table of families has. */
  pages(): Promise<number>
}

/** The purge of one store. It remembers where it stopped, so that calls in a row do not look at the same living families again. */
export function purgeOf(statements: PurgeStatements): (now: number, limit: number) => Promise<number> {
  let stoppedAt = 0

  return async (now, limit) => {
    let purged = 0

    async function drain(deleteUpTo: (most: number) => Promise<number>): Promise<void> {
      for (let found = ROWS_PER_DELETE; found === ROWS_PER_DELETE && purged < limit;) {
        found = await deleteUpTo(Math.min(ROWS_PER_DELETE, limit - purged))
        purged += found
      }
    }

    /** Looks at the families on these pages, and returns how far it came. What is dead is not moved to another page any more. */
    async function walk(from: number, end: number): Promise<number> {
      for (let page = from; page < end; page += PAGES_PER_LOOK) {
        const next = Math.min(page + PAGES_PER_LOOK, end)
        await drain((most) => statements.deleteDead(now, most, startOf(page), startOf(next)))
        if (purged === limit) return page
      }
      return 0
    }

    await drain((most) => statements.forget(now, most))
    await drain((most) => statements.deleteEnded(now, most))
    if (purged === limit) return purged
    // Who died before the absolute end is in no index, because one on expires_at would cost every rotation a second write.
    const [start, pages] = [stoppedAt, await statements.pages()]
    stoppedAt = await walk(start, pages)
    if (purged < limit) stoppedAt = await walk(0, Math.min(start, pages))
    return purged
  }
}

function startOf(page: number): string {
  return `(${String(page)},0)`
}
