import type { FamilyRecord } from '@baton/core'

/** A place in the list of a subject's families. */
export interface Position {
  readonly createdAt: number
  readonly id: string
}

/** Before every family. */
export const HEAD: Position = { createdAt: Number.MAX_SAFE_INTEGER, id: '' }

export function cursorOf({ createdAt, id }: Pick<FamilyRecord, 'createdAt' | 'id'>): string {
  return Buffer.from(`${String(createdAt)}.${id}`).toString('base64url')
}

/** Throws `TypeError` for anything but a cursor of ours. */
export function positionOf(cursor: string): Position {
  const text = Buffer.from(cursor, 'base64url').toString()
  const [, createdAt, id = ''] = /^(\d{1,16})\.([^\0]+)$/.exec(text) ?? []
  // Buffer forgives foreign characters; a cursor has one spelling.
  if (createdAt === undefined || Buffer.from(text).toString('base64url') !== cursor)
    throw new TypeError('cursor: not one that list returned; leave it out to begin at the first page')
  return { createdAt: Number(createdAt), id }
}
