import type { FamilyRecord } from '@baton/core'

/*
 * The format of earlier versions of this package:
 *
 *     1|verifier|generation|nonce|keyId|rotatedAt|retryKey|expiresAt|idleMs|absoluteExpiresAt|keepUntil|revocation
 *     ["subject","clientId","scope",createdAt,audience?,boundKey?,offline?,metadata?]
 */
export const FORMAT_1 = '1'

export const TEXT = '([^|\\n]*)'
export const INTEGER = '(-?\\d+)'
const HEAD = [FORMAT_1, TEXT, INTEGER, TEXT, TEXT, INTEGER, TEXT, INTEGER, `${INTEGER}?`, INTEGER, INTEGER].join('\\|')
const REVOCATION = '(?:([^|\\n,]*),(-?\\d+),([a-z_]+))?'
const RECORD = new RegExp(`^${HEAD}\\|${REVOCATION}\\n(.*)$`, 's')

/** Returns a record with the members that it had then, or null for anything but a record in this format. */
export function decodeFormat1(id: FamilyRecord['id'], text: string): object | null {
  const match = RECORD.exec(text)
  if (match === null) return null
  const [, verifier, generation, nonce, keyId, rotatedAt, retryKey, expiresAt, idleMs, ...rest] = match
  const [absoluteExpiresAt, keepUntil, revocationId, revokedAt, reason, json = ''] = rest
  const body = JSON.parse(json) as readonly unknown[]
  const [subject, clientId, scope, createdAt, audience = [], boundKey = null, offline = 0, metadata = {}] = body
  const confirmation = typeof boundKey === 'string' ? toConfirmation(boundKey) : null
  return {
    id,
    current: {
      generation: Number(generation),
      verifier,
      nonce,
      keyId,
      rotatedAt: Number(rotatedAt),
      retryKey: retryKey === '' ? null : retryKey,
    },
    grant: { subject, clientId, scope, audience, confirmation, offline: offline === 1, metadata, createdAt },
    lifetime: toLifetime(idleMs, absoluteExpiresAt, keepUntil),
    expiresAt: Number(expiresAt),
    revocation: revocationId === undefined ? null : { id: revocationId, at: Number(revokedAt), reason },
  }
}

/** Converts the fields of a record, in this and later formats. */
export function toLifetime(idleMs?: string, absoluteExpiresAt?: string, keepUntil?: string): FamilyRecord['lifetime'] {
  return {
    idleMs: idleMs === undefined ? null : Number(idleMs),
    absoluteExpiresAt: Number(absoluteExpiresAt),
    keepUntil: Number(keepUntil),
  }
}

/** Converts `jkt:…` or `x5t#S256:…`, which core checked. */
function toConfirmation(boundKey: string): FamilyRecord['grant']['confirmation'] {
  const [kind, thumbprint] = boundKey.split(/:(.*)/s)
  return kind === 'jkt' ? { jkt: thumbprint ?? '' } : { 'x5t#S256': thumbprint ?? '' }
}
