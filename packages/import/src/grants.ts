import type { Confirmation, ForeignGrant } from '@baton/core'
import { type Instant, millisecondsOf } from './instants.js'

/** Whose a token is and within what limits, as loosely as the old system says it. */
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
  /** When its holder signed in. Default: now. */
  readonly createdAt?: Instant | null | undefined
  /** When the old system stops honouring the token. Default: `until`. */
  readonly expiresAt?: Instant | null | undefined
  /** When the new family ends however busy it is. Default: by the policy. */
  readonly absoluteExpiresAt?: Instant | null | undefined
}

/** What all importers understand. */
export interface ImportOptions {
  /**
   * When you will stop accepting tokens that have no end of their own: a `Date`, or epoch milliseconds. Needed only for those.
   * Never move it to a later time: what ended before it is remembered only so long.
   */
  readonly until?: Date | number
  /**
   * The form of the old system's tokens, from `^` to `$`. Other text is rejected without a look-up: give it unless the table holds
   * digests, because any text that a client sends is looked up otherwise.
   */
  readonly matches?: RegExp
}

/** Throws `TypeError` where a field cannot be what it should: better nobody is let in than everybody is signed out. */
export function grantOf(fields: GrantFields, { until }: ImportOptions): ForeignGrant {
  const { subject, clientId, scope, audience, confirmation, offline, metadata, createdAt, absoluteExpiresAt } = fields
  const end = fields.expiresAt ?? until
  if (end === undefined) throw new TypeError('expiresAt: the token has no end, and there is no `until`; give one')
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

/** What all tokens that look right are called: their exact text. */
export function identifierOf({ matches }: ImportOptions): (token: string) => string | null {
  if (matches !== undefined && !(matches instanceof RegExp))
    throw new TypeError('matches: expected a regular expression')
  if (matches?.global === true || matches?.sticky === true)
    throw new TypeError('matches: a regular expression with the flag g or y remembers where it was; leave the flag out')
  return (token) => (matches === undefined || matches.test(token) ? token : null)
}

function textOf(subject: unknown): string {
  if (typeof subject === 'string') return subject
  if (typeof subject === 'number' || typeof subject === 'bigint') return String(subject)
  throw new TypeError(`subject: expected text or a number, got ${subject === null ? 'null' : typeof subject}`)
}

type Present<Fields> = { readonly [Name in keyof Fields]?: NonNullable<Fields[Name]> }

/** The fields that are neither null nor undefined: databases say null for what is not there. */
function present<Fields extends object>(fields: Fields): Present<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined),
  ) as Present<Fields>
}
