import type { FamilyRecord, RotateCommand } from '@baton/core'

/** A family as PostgreSQL holds it. `bigint` arrives as text unless the app has told `pg` otherwise; `Number` takes either. */
export interface FamilyRow {
  id: string
  verifier: string
  /** JSON, as are `grant` and `revocation`. */
  current: string
  subject: string
  created_at: string | number
  grant: string
  idle_ms: string | number | null
  absolute_expires_at: string | number
  keep_until: string | number
  expires_at: string | number
  revocation: string | null
}

/** A row of a read: of a family, or with nulls if there is none. */
export type ReadRow = { is_standby: boolean } & (FamilyRow | { id: null })

export function isFamily(row: ReadRow): row is ReadRow & FamilyRow {
  return row.id !== null
}

/** As statements name them, in the order of `valuesOf`. */
export const COLUMNS = [
  'id',
  'verifier',
  '"current"',
  'subject',
  'created_at',
  '"grant"',
  'idle_ms',
  'absolute_expires_at',
  'keep_until',
  'expires_at',
  'revocation',
] as const

export function valuesOf({ id, current, grant, lifetime, expiresAt, revocation }: FamilyRecord): unknown[] {
  return [
    id,
    current.verifier,
    JSON.stringify(current),
    grant.subject,
    grant.createdAt,
    JSON.stringify(grant),
    lifetime.idleMs,
    lifetime.absoluteExpiresAt,
    lifetime.keepUntil,
    expiresAt,
    revocation === null ? null : JSON.stringify(revocation),
  ]
}

/** A rotation that makes a successor. */
export interface Swap extends RotateCommand {
  readonly next: FamilyRecord['current']
}

/** The parameters of `rotate`. */
export function swapValues({ id, expect, next, now }: Swap): unknown[] {
  return [id, expect, now, next.verifier, JSON.stringify(next)]
}

/** The parameters of `rotateMany`: the swaps as JSON by the names that they have there, and whose they are. */
export function swapsValues(swaps: readonly Swap[]): unknown[] {
  const rows = swaps.map(({ id, expect, next, now }) => ({
    id,
    expect,
    now,
    verifier: next.verifier,
    current: JSON.stringify(next),
  }))
  return [JSON.stringify(rows), swaps.map(({ id }) => id)]
}

/** The columns are written by `valuesOf` and `swapValues` alone, so their contents have the types that went in. */
export function recordOf(row: FamilyRow): FamilyRecord {
  return {
    id: row.id as FamilyRecord['id'],
    current: JSON.parse(row.current) as FamilyRecord['current'],
    grant: JSON.parse(row.grant) as FamilyRecord['grant'],
    lifetime: {
      idleMs: row.idle_ms === null ? null : Number(row.idle_ms),
      absoluteExpiresAt: Number(row.absolute_expires_at),
      keepUntil: Number(row.keep_until),
    },
    expiresAt: Number(row.expires_at),
    revocation: row.revocation === null ? null : (JSON.parse(row.revocation) as FamilyRecord['revocation']),
  }
}
