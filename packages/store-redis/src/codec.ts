import type { FamilyRecord } from '@baton/core'
import { decodeFormat1, FORMAT_1 } from './format-1.js'

/**
 * A family is one string of three lines: what scripts compare and compute, then the current token and the grant as packed JSON.
 *
 *     2|verifier|expiresAt|idleMs|absoluteExpiresAt|keepUntil|revocation
 *     [0,generation,"nonce","keyId",rotatedAt,"retryKey"]
 *     [0,"subject","clientId","scope",createdAt,["audience"],confirmation,offline,metadata]
 *
 * A string rather than a hash: a hash keeps small fields tightly only until one value passes 64 bytes, and a user agent does.
 */
export const FORMAT = '2'

const TEXT = '([^|\\n]*)'
const WHOLE = '(-?\\d+)'
/** JSON.stringify escapes line feeds, but not U+2028, which the dot of a pattern does not match. */
const LINE = '([^\\n]*)'

/** The whole record in one match: every rotation returns one. */
const RECORD = new RegExp(`^${[FORMAT, TEXT, WHOLE, `${WHOLE}?`, WHOLE, WHOLE, LINE].join('\\|')}\\n${LINE}\\n${LINE}$`)

/** What stands under a key of ours was not written by this version of this package. Nothing has been overwritten. */
export class RecordFormatError extends Error {
  override readonly name = 'RecordFormatError'
}

export function encode({ current, grant, lifetime, expiresAt, revocation }: FamilyRecord): string {
  const { idleMs, absoluteExpiresAt, keepUntil } = lifetime
  const head = [
    FORMAT,
    plain(current.verifier),
    whole(expiresAt),
    idleMs === null ? '' : whole(idleMs),
    whole(absoluteExpiresAt),
    whole(keepUntil),
    revocation === null ? '' : JSON.stringify(revocation),
  ].join('|')
  return [head, encodeCurrent(current), pack(grant, GRANT)].join('\n')
}

/** The line that a rotation replaces. The verifier is in the first line, where scripts compare it. */
export function encodeCurrent({ verifier: _inHead, ...current }: FamilyRecord['current']): string {
  return pack(current, CURRENT)
}

/** The members that are written by their places. Append only: a member that is not here is written by its name. */
const CURRENT = ['generation', 'nonce', 'keyId', 'rotatedAt', 'retryKey'] as const
const GRANT = ['subject', 'clientId', 'scope', 'createdAt', 'audience', 'confirmation', 'offline', 'metadata'] as const

/** Writes the values in the order of `names` behind an object of all other members, or 0: names would double the size of a record. */
function pack<Part extends object>(part: Part, names: readonly (keyof Part & string)[]): string {
  const others = Object.entries(part).filter(([name]) => !(names as readonly string[]).includes(name))
  return JSON.stringify([others.length === 0 ? 0 : Object.fromEntries(others), ...names.map((name) => part[name])])
}

/** The inverse of `pack`. Throws for what is no list. */
function unpack(json: string, names: readonly string[]): object {
  const [others, ...values] = JSON.parse(json) as [object | 0, ...unknown[]]
  const members = values.map((value, place): [string, unknown] => [names[place] ?? '', value])
  return { ...(others === 0 ? {} : others), ...Object.fromEntries(members) }
}

/** Core writes base64url here; a separator would shift every field behind it. */
export function plain(text: string): string {
  if (/[|\n]/.test(text)) throw new TypeError('the verifier of a record holds a separator')
  return text
}

/** Core writes integers. Anything else would make the record unreadable, or a script compare with it wrongly. */
export function whole(value: number): string {
  if (!Number.isSafeInteger(value)) throw new TypeError(`redisStore: ${String(value)} is not an integer`)
  return String(value)
}

/** Returns true for a record in the format of an earlier version, which `decode` reads and scripts leave as it is. */
export function isEarlierFormat(text: string): boolean {
  return text.startsWith(`${FORMAT_1}|`)
}

export function decode(id: FamilyRecord['id'], text: string): FamilyRecord {
  const record = isEarlierFormat(text) ? decodeFormat1(id, text) : decodeFormat2(id, text)
  // A member that was added since is absent, as in every record that an earlier version wrote.
  if (record !== null) return record as FamilyRecord
  throw new RecordFormatError(
    `the record of family ${id} was not written by this version of @baton/store-redis; ` +
      'bring every instance to the newest version in use, or give this app a prefix of its own',
  )
}

/** Returns null for anything but a record in this format. What it holds was written by `encode`, so it has the types that went in. */
function decodeFormat2(id: FamilyRecord['id'], text: string): FamilyRecord | null {
  const match = RECORD.exec(text)
  if (match === null) return null
  const [, verifier = '', expiresAt, idleMs, absoluteExpiresAt, keepUntil, revocation = '', current = '', grant = ''] =
    match
  try {
    return {
      id,
      current: { ...unpack(current, CURRENT), verifier } as FamilyRecord['current'],
      grant: unpack(grant, GRANT) as FamilyRecord['grant'],
      lifetime: {
        idleMs: idleMs === undefined ? null : Number(idleMs),
        absoluteExpiresAt: Number(absoluteExpiresAt),
        keepUntil: Number(keepUntil),
      },
      expiresAt: Number(expiresAt),
      revocation: revocation === '' ? null : (JSON.parse(revocation) as FamilyRecord['revocation']),
    }
  } catch {
    return null
  }
}
