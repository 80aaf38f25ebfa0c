/** A place in the list of a subject's families. */
interface Position {
  readonly createdAt: number
  readonly id: string
}

/** Negative where `one` is listed before `other`: newest first, ties by id. */
export function compareNewestFirst(one: Position, other: Position): number {
  if (one.createdAt !== other.createdAt) return other.createdAt - one.createdAt
  if (one.id === other.id) return 0
  return one.id < other.id ? -1 : 1
}

export function cursorOf({ createdAt, id }: Position): string {
  return Buffer.from(`${String(createdAt)}.${id}`).toString('base64url')
}

/** Throws `TypeError` for anything but a cursor of ours. */
export function positionOf(cursor: string): Position {
  const text = Buffer.from(cursor, 'base64url').toString()
  const [, createdAt, id] = /^(\d{1,16})\.(.+)$/s.exec(text) ?? []
  const position = { createdAt: Number(createdAt), id: id ?? '' }
  // Buffer forgives foreign characters; a cursor has one spelling.
  if (createdAt === undefined || cursorOf(position) !== cursor)
    throw new TypeError('cursor: not one that list returned; leave it out to begin at the first page')
  return position
}
