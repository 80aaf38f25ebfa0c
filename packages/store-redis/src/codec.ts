import type { FamilyRecord, Revocation, Succession } from '@baton/core'

/**
 * A family is one string: a head that scripts rewrite, a line feed, and a body that never changes.
 *
 *     1|verifier|generation|nonce|keyId|rotatedAt|retryKey|expiresAt|idleMs|absoluteExpiresAt|keepUntil|revocation
 *     ["subject","clientId","scope",createdAt,audience?,boundKey?,offline?,metadata?]
 *
 * A string rather than a hash: a hash keeps small fields tightly only until one value passes 64 bytes, and a user agent does.
 */
export const FORMAT = '1'

export class RecordFormatError extends Error {
  override readonly name = 'RecordFormatError'
}

export function encode(record: FamilyRecord): string {
  const { id: _id, revocation, idleMs, absoluteExpiresAt, keepUntil, expiresAt } = record
  const head = [
    FORMAT,
    encodeSuccession(record),
    expiresAt,
    idleMs ?? '',
    absoluteExpiresAt,
    keepUntil,
    revocation === null ? '' : encodeRevocation(revocation),
  ].join('|')
  return `${head}\n${JSON.stringify(bodyOf(record))}`
}

/** The part of the head that a rotation replaces. */
export function encodeSuccession({ verifier, generation, nonce, keyId, rotatedAt, retryKey }: Succession): string {
  return [verifier, generation, nonce, keyId, rotatedAt, retryKey ?? ''].join('|')
}

export function encodeRevocation({ id, at, reason }: Revocation): string {
  return [id, at, reason].join(',')
}

export function decode(id: FamilyRecord['id'], text: string): FamilyRecord {
  const end = text.indexOf('\n')
  const head = text.slice(0, end).split('|')
  const [format, verifier, generation, nonce, keyId, rotatedAt, retryKey] = head
  const [expiresAt, idleMs, absoluteExpiresAt, keepUntil, revocation] = head.slice(7)
  if (end === -1 || format !== FORMAT || revocation === undefined) throw foreign(id)
  const body = JSON.parse(text.slice(end + 1)) as Body
  const [subject, clientId, scope, createdAt, audience = [], boundKey = null, offline = 0, metadata = {}] = body
  return {
    id,
    verifier: verifier as FamilyRecord['verifier'],
    generation: Number(generation),
    nonce: nonce ?? '',
    keyId: keyId ?? '',
    rotatedAt: Number(rotatedAt),
    retryKey: retryKey === '' || retryKey === undefined ? null : retryKey,
    expiresAt: Number(expiresAt),
    idleMs: idleMs === '' ? null : Number(idleMs),
    absoluteExpiresAt: Number(absoluteExpiresAt),
    keepUntil: Number(keepUntil),
    revocation: decodeRevocation(revocation),
    subject,
    clientId,
    scope,
    createdAt,
    audience,
    boundKey,
    offline: offline === 1,
    metadata,
  }
}

export function foreign(id: string): RecordFormatError {
  return new RecordFormatError(
    `the record of family ${id} was not written by this version of @baton/store-redis; ` +
      'upgrade every instance to the newest version in use, or give this app a key prefix of its own',
  )
}

type Body = [
  subject: string,
  clientId: string,
  scope: string,
  createdAt: number,
  audience?: readonly string[],
  boundKey?: string | null,
  offline?: 0 | 1,
  metadata?: Readonly<Record<string, unknown>>,
]

/** Trailing defaults are left out: an ordinary family pays nothing for what it does not use. */
function bodyOf({ subject, clientId, scope, createdAt, audience, boundKey, offline, metadata }: FamilyRecord): Body {
  const hasMetadata = Object.keys(metadata).length > 0
  if (hasMetadata) return [subject, clientId, scope, createdAt, audience, boundKey, offline ? 1 : 0, metadata]
  if (offline) return [subject, clientId, scope, createdAt, audience, boundKey, 1]
  if (boundKey !== null) return [subject, clientId, scope, createdAt, audience, boundKey]
  return audience.length > 0 ? [subject, clientId, scope, createdAt, audience] : [subject, clientId, scope, createdAt]
}

function decodeRevocation(text: string): Revocation | null {
  if (text === '') return null
  const [id = '', at, reason] = text.split(',')
  return { id, at: Number(at), reason: reason as Revocation['reason'] }
}
