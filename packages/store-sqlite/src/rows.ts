import type { FamilyRecord, RevocationReason } from '@baton/core'
import type { SqliteParameters } from './database.js'

/**
 * A family as statements select it, in the order of `Fields`: one text, since a driver takes longer to make an object of so many
 * columns than SQLite to find and change the row.
 */
export const RECORD = `json_array(
  id, generation, verifier, nonce, key_id, rotated_at, retry_key, idle_ms, expires_at, absolute_expires_at, keep_until,
  revocation_id, revoked_at, revocation_reason, created_at, subject, client_id, scope, audience, bound_key, offline, metadata
) AS record`

type Fields = [
  id: FamilyRecord['id'],
  generation: number,
  verifier: FamilyRecord['verifier'],
  nonce: string,
  keyId: string,
  rotatedAt: number,
  retryKey: string | null,
  idleMs: number | null,
  expiresAt: number,
  absoluteExpiresAt: number,
  keepUntil: number,
  revocationId: string | null,
  revokedAt: number | null,
  revocationReason: RevocationReason | null,
  createdAt: number,
  subject: string,
  clientId: string,
  scope: string,
  audience: string,
  boundKey: string | null,
  offline: 0 | 1,
  metadata: string,
]

/** Only for rows that a statement of this package selected as `RECORD`: what is in them `toRow` and STRICT tables made. */
export function toRecord(selected: unknown): FamilyRecord {
  const { record } = selected as { readonly record: string }
  const [
    id,
    generation,
    verifier,
    nonce,
    keyId,
    rotatedAt,
    retryKey,
    idleMs,
    expiresAt,
    absoluteExpiresAt,
    keepUntil,
    revocationId,
    revokedAt,
    revocationReason,
    createdAt,
    subject,
    clientId,
    scope,
    audience,
    boundKey,
    offline,
    metadata,
  ] = JSON.parse(record) as Fields
  return {
    id,
    generation,
    verifier,
    nonce,
    keyId,
    rotatedAt,
    retryKey,
    idleMs,
    expiresAt,
    absoluteExpiresAt,
    keepUntil,
    revocation: revocationOf(revocationId, revokedAt, revocationReason),
    subject,
    clientId,
    scope,
    audience: JSON.parse(audience) as string[],
    boundKey,
    offline: offline === 1,
    metadata: JSON.parse(metadata) as Record<string, unknown>,
    createdAt,
  }
}

/** A row has all three or none. */
function revocationOf(
  id: string | null,
  at: number | null,
  reason: RevocationReason | null,
): FamilyRecord['revocation'] {
  return id === null || at === null || reason === null ? null : { id, at, reason }
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
