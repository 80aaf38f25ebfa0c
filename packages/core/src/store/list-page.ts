import { type FamilyId, isFamilyId } from '../family.js'

/** A page of `list`. */
export interface Page<Item> {
  readonly items: readonly Item[]
  /** Pass it to `list` for the next page; null if this is the last one. 1 to 1024 bytes of well-formed text without NUL. */
  readonly cursor: string | null
}

/** The position of a family in the list of its subject. */
export interface ListPosition {
  readonly createdAt: number
  readonly id: FamilyId
}

/** Sorts positions as `list` does: newest first, then by id. */
export function compareNewestFirst(one: ListPosition, other: ListPosition): number {
  if (one.createdAt !== other.createdAt) return other.createdAt - one.createdAt
  if (one.id === other.id) return 0
  return one.id < other.id ? -1 : 1
}

/** Returns the cursor of the page that follows this position. */
export function encodeCursor({ createdAt, id }: ListPosition): string {
  return Buffer.from(`${String(createdAt)}.${id}`).toString('base64url')
}

/** Returns the position that a cursor stands for. Throws `TypeError` for anything that `encodeCursor` does not return. */
export function decodeCursor(cursor: string): ListPosition {
  const [, createdAt, id] = /^(-?\d{1,16})\.(.+)$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (isFamilyId(id)) {
    const position = { createdAt: Number(createdAt), id }
    // Buffer ignores invalid characters, so several strings decode to one position. Only the encoder's is accepted.
    if (Number.isSafeInteger(position.createdAt) && encodeCursor(position) === cursor) return position
  }
  throw new TypeError('cursor: not one that list returned; omit it to get the first page')
}

/**
 * Makes a page from items in list order. `items` holds one more than `limit` if another page follows: a store reads `limit + 1`.
 */
export function toPage<Item extends ListPosition>(items: readonly Item[], limit: number): Page<Item> {
  const page = items.slice(0, limit)
  const last = page.at(-1)
  return { items: page, cursor: last !== undefined && items.length > limit ? encodeCursor(last) : null }
}
