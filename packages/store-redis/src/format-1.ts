import type { FamilyRecord, RevocationReason } from '@baton/core'

/*
 * Reads what earlier versions of this package wrote:
 *
 *     1|verifier|generation|nonce|keyId|rotatedAt|retryKey|expiresAt|idleMs|absoluteExpiresAt|keepUntil|revocation
 *     ["subject","clientId","scope",createdAt,audience?,boundKey?,offline?,metadata?]
 */
export const FORMAT_1 = '1'

const TEXT = '([^|\\n]*)'
const WHOLE = '(-?\\d+)'
const HEAD = new RegExp(
  `^${[FORMAT_1, TEXT, WHOLE, TEXT, TEXT, WHOLE, TEXT, WHOLE, `${WHOLE}?`, WHOLE, WHOLE, TEXT].join('\\|')}\\n`,
)

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

/** Returns a record with the members that it had then, or null for anything but a record in this format. */
export function decodeFormat1(id: FamilyRecord['id'], text: string): object | null {
  const match = HEAD.exec(text)
  if (match === null) return null
  const [head, verifier = '', generation, nonce = '', keyId = '', rotatedAt, retryKey = '', ...rest] = match
  const [expiresAt, idleMs, absoluteExpiresAt, keepUntil, revocation = ''] = rest
  const body = bodyIn(text.slice(head.length))
  const revoked = revocation === '' ? null : revocationIn(revocation)
  if (body === null || revoked === undefined) return null
  const [subject, clientId, scope, createdAt, audience = [], boundKey = null, offline = 0, metadata = {}] = body
  return {
    id,
    current: {
      generation: Number(generation),
      verifier: verifier as FamilyRecord['current']['verifier'],
      nonce,
      keyId,
      rotatedAt: Number(rotatedAt),
      retryKey: retryKey === '' ? null : retryKey,
    },
    grant: {
      subject,
      clientId,
      scope,
      audience,
      confirmation: boundKey === null ? null : confirmationIn(boundKey),
      offline: offline === 1,
      metadata,
      createdAt,
    },
    lifetime: {
      idleMs: idleMs === undefined ? null : Number(idleMs),
      absoluteExpiresAt: Number(absoluteExpiresAt),
      keepUntil: Number(keepUntil),
    },
    expiresAt: Number(expiresAt),
    revocation: revoked,
  }
}

function bodyIn(json: string): Body | null {
  try {
    const body: unknown = JSON.parse(json)
    return isBody(body) ? body : null
  } catch {
    return null
  }
}

function isBody(body: unknown): body is Body {
  if (!Array.isArray(body)) return false
  const [subject, clientId, scope, createdAt] = body as unknown[]
  return [subject, clientId, scope].every((part) => typeof part === 'string') && typeof createdAt === 'number'
}

/** `jkt:…` or `x5t#S256:…`, as core checked it. */
function confirmationIn(boundKey: string): FamilyRecord['grant']['confirmation'] {
  const colon = boundKey.indexOf(':')
  const thumbprint = boundKey.slice(colon + 1)
  return boundKey.slice(0, colon) === 'jkt' ? { jkt: thumbprint } : { 'x5t#S256': thumbprint }
}

/** Undefined for what is no revocation. */
function revocationIn(text: string): FamilyRecord['revocation'] | undefined {
  const [id = '', at = '', reason] = text.split(',')
  return /^-?\d+$/.test(at) ? { id, at: Number(at), reason: reason as RevocationReason } : undefined
}
