import type { FamilyRecord, Revocation, RotateCommand, Succession } from '@baton/core'

/** A family as PostgreSQL holds it. `bigint` arrives as text unless the app has told `pg` otherwise; `Number` takes either. */
export interface FamilyRow {
  id: string
  generation: string | number
  verifier: string
  nonce: string
  key_id: string
  rotated_at: string | number
  retry_key: string | null
  idle_ms: string | number | null
  expires_at: string | number
  absolute_expires_at: string | number
  keep_until: string | number
  revocation_id: string | null
  revoked_at: string | number | null
  revocation_reason: string | null
  subject: string
  client_id: string
  scope: string
  audience: string
  bound_key: string | null
  offline: boolean
  metadata: string
  created_at: string | number
}

/** A row of a read: of a family, or with nulls if there is none. */
export type ReadRow = { is_standby: boolean } & (FamilyRow | { id: null })

export function isFamily(row: ReadRow): row is ReadRow & FamilyRow {
  return row.id !== null
}

/** In the order of `valuesOf`. */
export const COLUMNS = [
  'id',
  'generation',
  'verifier',
  'nonce',
  'key_id',
  'rotated_at',
  'retry_key',
  'idle_ms',
  'expires_at',
  'absolute_expires_at',
  'keep_until',
  'revocation_id',
  'revoked_at',
  'revocation_reason',
  'subject',
  'client_id',
  'scope',
  'audience',
  'bound_key',
  'offline',
  'metadata',
  'created_at',
] as const

export function valuesOf(record: FamilyRecord): unknown[] {
  const { revocation } = record
  return [
    record.id,
    record.generation,
    record.verifier,
    record.nonce,
    record.keyId,
    record.rotatedAt,
    record.retryKey,
    record.idleMs,
    record.expiresAt,
    record.absoluteExpiresAt,
    record.keepUntil,
    revocation?.id ?? null,
    revocation?.at ?? null,
    revocation?.reason ?? null,
    record.subject,
    record.clientId,
    record.scope,
    JSON.stringify(record.audience),
    record.boundKey,
    record.offline,
    JSON.stringify(record.metadata),
    record.createdAt,
  ]
}

/** A rotation that makes a successor. */
export interface Swap extends RotateCommand {
  readonly next: Succession
}

/** The parameters of `rotate`. */
export function swapValues({ id, expect, next, now }: Swap): unknown[] {
  const { generation, verifier, nonce, keyId, rotatedAt, retryKey } = next
  return [id, expect, now, generation, verifier, nonce, keyId, rotatedAt, retryKey]
}

/** The parameters of `rotateMany`: the swaps as JSON by the names that they have there, and whose they are. */
export function swapsValues(swaps: readonly Swap[]): unknown[] {
  const rows = swaps.map(({ id, expect, next, now }) => ({
    id,
    expect,
    now,
    generation: next.generation,
    verifier: next.verifier,
    nonce: next.nonce,
    key_id: next.keyId,
    rotated_at: next.rotatedAt,
    retry_key: next.retryKey,
  }))
  return [JSON.stringify(rows), swaps.map(({ id }) => id)]
}

/** The columns are written by `valuesOf` alone, so their contents have the types that went in. */
export function recordOf(row: FamilyRow): FamilyRecord {
  return {
    id: row.id as FamilyRecord['id'],
    generation: Number(row.generation),
    verifier: row.verifier as FamilyRecord['verifier'],
    nonce: row.nonce,
    keyId: row.key_id,
    rotatedAt: Number(row.rotated_at),
    retryKey: row.retry_key,
    idleMs: row.idle_ms === null ? null : Number(row.idle_ms),
    expiresAt: Number(row.expires_at),
    absoluteExpiresAt: Number(row.absolute_expires_at),
    keepUntil: Number(row.keep_until),
    revocation: revocationOf(row),
    subject: row.subject,
    clientId: row.client_id,
    scope: row.scope,
    audience: JSON.parse(row.audience) as string[],
    boundKey: row.bound_key,
    offline: row.offline,
    metadata: JSON.parse(row.metadata) as Record<string, unknown>,
    createdAt: Number(row.created_at),
  }
}

function revocationOf(row: FamilyRow): Revocation | null {
  if (row.revocation_id === null) return null
  return {
    id: row.revocation_id,
    at: Number(row.revoked_at),
    reason: row.revocation_reason as Revocation['reason'],
  }
}
