import type { CurrentToken, FamilyGrant, FamilyId, FamilyRecord, Revocation } from '../model/family.js'

/** A family as columns of a SQL table. Drivers return integers of 64 bits as numbers, bigints or text. */
export interface FamilyRow {
  readonly id: string
  readonly verifier: string
  /** JSON, as are `grant` and `revocation`. */
  readonly current: string
  readonly subject: string
  readonly created_at: SqlInteger
  readonly grant: string
  readonly idle_ms: SqlInteger | null
  readonly absolute_expires_at: SqlInteger
  readonly keep_until: SqlInteger
  readonly expires_at: SqlInteger
  readonly revocation: string | null
}

type SqlInteger = number | bigint | string

/** The names of the columns. `current` and `grant` are reserved words in SQL. */
export const FAMILY_COLUMNS = [
  'id',
  'verifier',
  'current',
  'subject',
  'created_at',
  'grant',
  'idle_ms',
  'absolute_expires_at',
  'keep_until',
  'expires_at',
  'revocation',
] as const satisfies readonly (keyof FamilyRow)[]

/**
 * Returns the columns of a new row.
 *
 * @example
 * ```ts
 * import type { FamilyRecord } from '@baton/core'
 * import { toRow } from '@baton/core/store'
 *
 * declare const insert: { run(row: object): void }
 *
 * const create = (record: FamilyRecord) => insert.run(toRow(record))
 * ```
 */
export function toRow({ id, current, grant, lifetime, expiresAt, revocation }: FamilyRecord) {
  return {
    id,
    ...toCurrentColumns(current),
    subject: grant.subject,
    created_at: grant.createdAt,
    grant: JSON.stringify(grant),
    idle_ms: lifetime.idleMs,
    absolute_expires_at: lifetime.absoluteExpiresAt,
    keep_until: lifetime.keepUntil,
    expires_at: expiresAt,
    revocation: revocation === null ? null : JSON.stringify(revocation),
  }
}

/**
 * Returns the values of a new row in the order of `FAMILY_COLUMNS`.
 *
 * @example
 * ```ts
 * import type { FamilyRecord } from '@baton/core'
 * import { FAMILY_COLUMNS, toValues } from '@baton/core/store'
 *
 * const insertStatement = (record: FamilyRecord) => ({
 *   text: `INSERT INTO families (${FAMILY_COLUMNS.map((name) => `"${name}"`).join(', ')})
 *     VALUES (${FAMILY_COLUMNS.map((_, index) => `$${String(index + 1)}`).join(', ')})`,
 *   values: toValues(record),
 * })
 * ```
 */
export function toValues(record: FamilyRecord): (string | number | null)[] {
  const row = toRow(record)
  return FAMILY_COLUMNS.map((name) => row[name])
}

/**
 * Returns the columns that a rotation replaces, beside `expires_at`.
 *
 * @example
 * ```ts
 * import type { CurrentToken } from '@baton/core'
 * import { toCurrentColumns } from '@baton/core/store'
 *
 * function toParameters(next: CurrentToken) {
 *   const { verifier, current } = toCurrentColumns(next)
 *   return [verifier, current]
 * }
 * ```
 */
export function toCurrentColumns(current: CurrentToken) {
  return { verifier: current.verifier as string, current: JSON.stringify(current) }
}

/**
 * Returns the record of a row that `toRow` and `toCurrentColumns` wrote. The contents of the columns are not checked.
 *
 * @example
 * ```ts
 * import type { FamilyId, FamilyRecord } from '@baton/core'
 * import { type FamilyRow, fromRow } from '@baton/core/store'
 *
 * declare function selectById(id: string): Promise<FamilyRow | undefined>
 *
 * async function find(id: FamilyId): Promise<FamilyRecord | null> {
 *   const row = await selectById(id)
 *   return row === undefined ? null : fromRow(row)
 * }
 * ```
 */
export function fromRow(row: FamilyRow): FamilyRecord {
  return {
    id: row.id as FamilyId,
    current: JSON.parse(row.current) as CurrentToken,
    grant: JSON.parse(row.grant) as FamilyGrant,
    lifetime: {
      idleMs: row.idle_ms === null ? null : Number(row.idle_ms),
      absoluteExpiresAt: Number(row.absolute_expires_at),
      keepUntil: Number(row.keep_until),
    },
    expiresAt: Number(row.expires_at),
    revocation: row.revocation === null ? null : (JSON.parse(row.revocation) as Revocation),
  }
}
