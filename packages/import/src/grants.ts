import type { Confirmation, LegacyGrant } from '@baton/core'
import { declareOptions, optional, type OptionsOf, rule } from '@baton/core/options'
import { type Instant, millisecondsOf } from './instants.js'

/** The grant of a token, in the types that databases and libraries return. */
export interface GrantFields {
  /** Your user's id; numbers become text. */
  readonly subject: string | number | bigint
  /** Default `first-party`, as in `tokens.issue`. */
  readonly clientId?: string | null | undefined
  readonly scope?: string | null | undefined
  readonly audience?: readonly string[] | null | undefined
  /** The key that every request must prove: `{ jkt }` or `{ 'x5t#S256' }`. */
  readonly confirmation?: Confirmation | null | undefined
  readonly offline?: boolean | null | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | null | undefined
  /** The instant of the sign-in. Default: now. */
  readonly createdAt?: Instant | null | undefined
  /** The instant at which the old token expires. Default: `until`. */
  readonly expiresAt?: Instant | null | undefined
  /** The instant at which the new family expires, however often it is used. Default: from the policy. */
  readonly absoluteExpiresAt?: Instant | null | undefined
}

/** The options of all importers. */
export const importOptions = declareOptions({
  /**
   * From this instant, tokens without an expiry are rejected: a `Date`, or epoch milliseconds. Required for those
   * tokens. Never move it to a later time: Baton remembers revoked families only until then.
   */
  until: optional(rule<Date | number>('a Date or epoch milliseconds', isDateOrNumber)),
  /**
   * The form of the old tokens, from `^` to `$`. Other text is rejected without a look-up. Recommended unless the table holds digests:
   * without it, any text that a client sends is looked up.
   */
  matches: optional(
    rule<RegExp>(
      'a regular expression without the flags g and y',
      (value) => value instanceof RegExp && !value.global && !value.sticky,
      'with one of these flags, it remembers its last position',
    ),
  ),
})

export type ImportOptions = OptionsOf<typeof importOptions>

function isDateOrNumber(value: unknown): boolean {
  return Number.isFinite(value instanceof Date ? value.getTime() : value)
}

/** Converts fields to a grant. Throws `TypeError` for an invalid field, and for a token that never expires if there is no `until`. */
export function grantOf(fields: GrantFields, { until }: Pick<ImportOptions, 'until'>): LegacyGrant {
  const { subject, clientId, scope, audience, confirmation, offline, metadata, createdAt, absoluteExpiresAt } = fields
  const end = fields.expiresAt ?? until
  if (end === undefined) throw new TypeError('expiresAt: the token does not expire; set the option until')
  return {
    subject: textOf(subject),
    expiresAt: millisecondsOf('expiresAt', end),
    ...present({
      clientId,
      scope,
      audience,
      confirmation,
      offline,
      metadata,
      createdAt: createdAt == null ? null : millisecondsOf('createdAt', createdAt),
      absoluteExpiresAt: absoluteExpiresAt == null ? null : millisecondsOf('absoluteExpiresAt', absoluteExpiresAt),
    }),
  }
}

/** Returns a function that identifies a token by its exact text if it has the form of the old tokens. */
export function identifierOf({ matches }: Pick<ImportOptions, 'matches'>): (token: string) => string | null {
  return (token) => (matches === undefined || matches.test(token) ? token : null)
}

function textOf(subject: unknown): string {
  if (typeof subject === 'string') return subject
  if (typeof subject === 'number' || typeof subject === 'bigint') return String(subject)
  throw new TypeError(`subject: expected text or a number, got ${subject === null ? 'null' : typeof subject}`)
}

type Present<Fields> = { readonly [Name in keyof Fields]?: NonNullable<Fields[Name]> }

/** Returns the fields that are neither null nor undefined: databases return null for a missing value. */
function present<Fields extends object>(fields: Fields): Present<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined),
  ) as Present<Fields>
}
