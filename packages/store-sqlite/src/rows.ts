import type { FamilyRecord, RevocationReason } from '@baton/core'
import type { SqliteParameters } from './database.js'

/** One row of baton_families. Connections may be told to return every integer as a bigint. */
interface FamilyRow {
  readonly id: string
  readonly generation: number | bigint
  readonly verifier: string
  readonly nonce: string
  readonly key_id: string
  readonly rotated_at: number | bigint
  readonly retry_key: string | null
  readonly idle_ms: number | bigint | null
  readonly expires_at: number | bigint
  readonly absolute_expires_at: number | bigint
  readonly keep_until: number | bigint
  readonly revocation_id: string | null
  readonly revoked_at: number | bigint | null
  readonly revocation_reason: string | null
  readonly created_at: number | bigint
  readonly subject: string
  readonly client_id: string
  readonly scope: string
  readonly audience: string
  readonly bound_key: string | null
  readonly offline: number | bigint
  readonly metadata: string
}

/** Only for rows that a statement of this package selected whole: their columns are what `toRow` and STRICT tables made them. */
export function toRecord(selected: unknown): FamilyRecord {
  const row = selected as FamilyRow
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
    offline: Number(row.offline) === 1,
    metadata: JSON.parse(row.metadata) as Record<string, unknown>,
    createdAt: Number(row.created_at),
  }
}

function revocationOf({ revocation_id, revoked_at, revocation_reason }: FamilyRow): FamilyRecord['revocation'] {
  if (revocation_id === null) return null
  return { id: revocation_id, at: Number(revoked_at), reason: revocation_reason as RevocationReason }
}

/** The columns of a new row, by their names. */
export function toRow(record: FamilyRecord): SqliteParameters {
  const { revocation } = record
  return {
    id: record.id,
    generation: record.generation,
    verifier: record.verifier,
    nonce: record.nonce,
    key_id: record.keyId,
    rotated_at: record.rotatedAt,
    retry_key: record.retryKey,
    idle_ms: record.idleMs,
    expires_at: record.expiresAt,
    absolute_expires_at: record.absoluteExpiresAt,
    keep_until: record.keepUntil,
    revocation_id: revocation?.id ?? null,
    revoked_at: revocation?.at ?? null,
    revocation_reason: revocation?.reason ?? null,
    created_at: record.createdAt,
    subject: record.subject,
    client_id: record.clientId,
    scope: record.scope,
    audience: JSON.stringify(record.audience),
    bound_key: record.boundKey,
    offline: record.offline ? 1 : 0,
    metadata: JSON.stringify(record.metadata),
  }
}
