import type { FamilyRecord, Revocation, RevocationReason, Succession } from '@baton/core'

/**
 * A family is one string: a head that scripts rewrite, a line feed, and a body that never changes.
 *
 *     1|verifier|generation|nonce|keyId|rotatedAt|retryKey|expiresAt|idleMs|absoluteExpiresAt|keepUntil|revocation
 *     ["subject","clientId","scope",createdAt,audience?,boundKey?,offline?,metadata?]
 *
 * A string rather than a hash: a hash keeps small fields tightly only until one value passes 64 bytes, and a user agent does.
 */
export const FORMAT = '1'

const TEXT = '([^|\\n]*)'
const WHOLE = '(-?\\d+)'

/** The head and its line feed, in one match: every rotation answers with a record. */
const HEAD = new RegExp(
  `^${[FORMAT, TEXT, WHOLE, TEXT, TEXT, WHOLE, TEXT, WHOLE, `${WHOLE}?`, WHOLE, WHOLE, TEXT].join('\\|')}\\n`,
)

/** What stands under a key of ours was not written by this version of this package. Nothing has been overwritten. */
export class RecordFormatError extends Error {
  override readonly name = 'RecordFormatError'
}

export function encode(record: FamilyRecord): string {
  const { revocation, idleMs, absoluteExpiresAt, keepUntil, expiresAt } = record
  const head = [
    FORMAT,
    encodeSuccession(record),
    whole(expiresAt),
    idleMs === null ? '' : whole(idleMs),
    whole(absoluteExpiresAt),
    whole(keepUntil),
    revocation === null ? '' : encodeRevocation(revocation),
  ].join('|')
  return `${head}\n${JSON.stringify(bodyOf(record))}`
}

/** The part of the head that a rotation replaces. */
export function encodeSuccession({ verifier, generation, nonce, keyId, rotatedAt, retryKey }: Succession): string {
  return [plain(verifier), whole(generation), plain(nonce), plain(keyId), whole(rotatedAt), plain(retryKey ?? '')].join(
    '|',
  )
}

export function encodeRevocation({ id, at, reason }: Revocation): string {
  return [plain(id), whole(at), plain(reason)].join(',')
}

/** Core writes base64url here; a separator would shift every field behind it. */
function plain(text: string): string {
  if (/[|,\n]/.test(text)) throw new TypeError('a hash, nonce, key id or reason of a record holds a separator')
  return text
}

/** Core writes integers. Anything else would make the record unreadable, or a script compare with it wrongly. */
export function whole(value: number): string {
  if (!Number.isSafeInteger(value)) throw new TypeError(`redisStore: ${String(value)} is not an integer`)
  return String(value)
}

export function decode(id: FamilyRecord['id'], text: string): FamilyRecord {
  const match = HEAD.exec(text)
  if (match === null) throw foreign(id)
  const [head, verifier = '', generation, nonce = '', keyId = '', rotatedAt, retryKey = '', ...rest] = match
  const [expiresAt, idleMs, absoluteExpiresAt, keepUntil, revocation = ''] = rest
  const [subject, clientId, scope, createdAt, audience = [], boundKey = null, offline = 0, metadata = {}] = bodyIn(
    id,
    text.slice(head.length),
  )
  return {
    id,
    verifier: verifier as FamilyRecord['verifier'],
    generation: Number(generation),
    nonce,
    keyId,
    rotatedAt: Number(rotatedAt),
    retryKey: retryKey === '' ? null : retryKey,
    expiresAt: Number(expiresAt),
    idleMs: idleMs === undefined ? null : Number(idleMs),
    absoluteExpiresAt: Number(absoluteExpiresAt),
    keepUntil: Number(keepUntil),
    revocation: revocation === '' ? null : revocationIn(id, revocation),
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

function foreign(id: string): RecordFormatError {
  return new RecordFormatError(
    `the record of family ${id} was not written by this version of @baton/store-redis; ` +
      'bring every instance to the newest version in use, or give this app a prefix of its own',
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

function bodyIn(id: string, json: string): Body {
  try {
    const body: unknown = JSON.parse(json)
    if (isBody(body)) return body
  } catch {
    // Told below.
  }
  throw foreign(id)
}

function isBody(body: unknown): body is Body {
  if (!Array.isArray(body)) return false
  const [subject, clientId, scope, createdAt] = body as unknown[]
  return [subject, clientId, scope].every((part) => typeof part === 'string') && typeof createdAt === 'number'
}

function revocationIn(id: string, text: string): Revocation {
  const [revocationId = '', at = '', reason] = text.split(',')
  if (!/^-?\d+$/.test(at)) throw foreign(id)
  return { id: revocationId, at: Number(at), reason: reason as RevocationReason }
}
