import type { FamilyRecord } from '@baton/core'
import { decodeFormat1, FORMAT_1, INTEGER, TEXT, toLifetime } from './format-1.js'

/**
 * A family is one string of three lines: what scripts compare and compute, then the current token and the grant as packed JSON.
 *
 *     2|verifier|expiresAt|idleMs|absoluteExpiresAt|keepUntil|revocation
 *     [0,generation,"nonce","keyId",rotatedAt,"retryKey"]
 *     [0,"subject","clientId","scope",createdAt,["audience"],confirmation,offline,metadata]
 *
 * A hash would need more memory: Redis stores it compactly only while every value has at most 64 bytes, and a user agent has more.
 */
export const FORMAT = '2'

/** JSON.stringify escapes line feeds, but not U+2028, which the dot of a pattern does not match. */
const LINE = '([^\\n]*)'

/** One match for the whole record, because every rotation decodes one. */
const RECORD = new RegExp(
  `^${[FORMAT, TEXT, INTEGER, `${INTEGER}?`, INTEGER, INTEGER, LINE].join('\\|')}\\n${LINE}\\n${LINE}$`,
)

/** A key of this store holds something that this version of the package did not write. Nothing was overwritten. */
export class RecordFormatError extends Error {
  override readonly name = 'RecordFormatError'
}

export function encode({ current, grant, lifetime, expiresAt, revocation }: FamilyRecord): string {
  const { idleMs, absoluteExpiresAt, keepUntil } = lifetime
  const head = [
    FORMAT,
    assertNoSeparator(current.verifier),
    integerToText(expiresAt),
    idleMs === null ? '' : integerToText(idleMs),
    integerToText(absoluteExpiresAt),
    integerToText(keepUntil),
    revocation === null ? '' : JSON.stringify(revocation),
  ].join('|')
  return [head, encodeCurrent(current), pack(grant, GRANT)].join('\n')
}

/** Returns the line that a rotation replaces. The verifier is in the first line, where scripts compare it. */
export function encodeCurrent({ verifier: _inHead, ...current }: FamilyRecord['current']): string {
  return pack(current, CURRENT)
}

/** The members that are written by position. Only append to them: a member that is not here is written by name. */
const CURRENT = ['generation', 'nonce', 'keyId', 'rotatedAt', 'retryKey'] as const
const GRANT = ['subject', 'clientId', 'scope', 'createdAt', 'audience', 'confirmation', 'offline', 'metadata'] as const

/** Writes the values in the order of `names` after an object of all other members, or 0: names would double the size of a record. */
function pack<Part extends object>(part: Part, names: readonly (keyof Part & string)[]): string {
  const others = Object.entries(part).filter(([name]) => !(names as readonly string[]).includes(name))
  return JSON.stringify([others.length === 0 ? 0 : Object.fromEntries(others), ...names.map((name) => part[name])])
}

/** The inverse of `pack`. Throws for anything but a list. */
function unpack(json: string, names: readonly string[]): object {
  const [others, ...values] = JSON.parse(json) as [object | 0, ...unknown[]]
  const members = values.map((value, index): [string, unknown] => [names[index] ?? '', value])
  return { ...(others === 0 ? {} : others), ...Object.fromEntries(members) }
}

/** Core writes base64url here. A separator would move every following field. */
export function assertNoSeparator(verifier: string): string {
  if (/[|\n]/.test(verifier)) throw new TypeError('redisStore: the verifier of a record contains a separator')
  return verifier
}

/** Core writes integers. Scripts would compare any other number incorrectly. */
export function integerToText(value: number): string {
  if (!Number.isSafeInteger(value)) throw new TypeError(`redisStore: ${String(value)} is not an integer`)
  return String(value)
}

/** Returns true for a record in the format of an earlier version, which `decode` reads and scripts do not change. */
export const isEarlierFormat = (text: string): boolean => text.startsWith(`${FORMAT_1}|`)

/** Returns the record. A member that was added to the type since it was written is absent. Throws `RecordFormatError` for other text. */
export function decode(id: FamilyRecord['id'], text: string): FamilyRecord {
  try {
    const record = isEarlierFormat(text) ? decodeFormat1(id, text) : decodeFormat2(id, text)
    if (record !== null) return record as FamilyRecord
  } catch {
    // JSON that this package did not write.
  }
  throw new RecordFormatError(
    `the record of family ${id} was not written by this version of @baton/store-redis; ` +
      'bring every instance to the newest version in use, or give this app a separate prefix',
  )
}

/** Returns null for anything but a record in this format. Its contents have the types that `encode` wrote. */
function decodeFormat2(id: FamilyRecord['id'], text: string): object | null {
  const match = RECORD.exec(text)
  if (match === null) return null
  const [, verifier, expiresAt, idleMs, absoluteExpiresAt, keepUntil, revocation = '', current = '', grant = ''] = match
  return {
    id,
    current: { ...unpack(current, CURRENT), verifier },
    grant: unpack(grant, GRANT),
    lifetime: toLifetime(idleMs, absoluteExpiresAt, keepUntil),
    expiresAt: Number(expiresAt),
    revocation: revocation === '' ? null : (JSON.parse(revocation) as unknown),
  }
}
