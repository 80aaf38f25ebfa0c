import type { Grace } from '../decision/decide.js'
import { declareOptions, nested, nullable, oneOf, optional, type OptionsOf, seconds, withDefault } from '../options.js'
import type { Confirmation } from './confirmation.js'
import { ConfigurationError } from './errors.js'

const HOUR_SECONDS = 3600
const DAY_SECONDS = 24 * HOUR_SECONDS
const MAX_GRACE_SECONDS = 60
/** `@baton/client` repeats an attempt for as long. */
const MAX_SAME_ATTEMPT_SECONDS = 24 * HOUR_SECONDS
/** Ten years. A larger value is probably in milliseconds. */
const MAX_LIFETIME_SECONDS = 3650 * DAY_SECONDS

export type Rotation = 'always' | 'never'

export const rotation = oneOf('always', 'never')
const duration = seconds({ min: 1, max: MAX_LIFETIME_SECONDS, fix: 'the maximum is ten years' })

const lifetimeOptions = declareOptions({
  /** The maximum time between two refreshes, in seconds; null for no idle limit. Default: 30 days, or 90 days for offline families. */
  idleSeconds: optional(nullable(duration)),
  /** The age at which a family expires however often it is used, in seconds. Default: 90 days, or 365 days for offline families. */
  absoluteSeconds: optional(duration),
})

export type LifetimeOptions = OptionsOf<typeof lifetimeOptions>

const policyOptions = lifetimeOptions.extend({
  /**
   * How long after a rotation the direct predecessor still receives the same successor, in seconds: 0 to 60, default 30. With 0, of two
   * concurrent refreshes without a common Idempotency-Key, the second one revokes the family.
   */
  graceSeconds: withDefault(
    seconds({ min: 0, max: MAX_GRACE_SECONDS, fix: 'a longer window delays reuse detection; use idempotency keys' }),
    30,
  ),
  /**
   * Which requests with the predecessor the grace window accepts. `any-attempt`: all of them, also those of a second holder of the
   * token. `same-attempt`: if the rotation or the request has an Idempotency-Key, only a request with the rotation's key; any other request
   * revokes the family as reuse. If neither has a key, the window applies to both settings. Use `same-attempt` only if every
   * client repeats its key when it repeats a refresh, and lets one refresh finish before it starts another. Default `any-attempt`.
   */
  grace: withDefault(oneOf('any-attempt', 'same-attempt'), 'any-attempt'),
  /**
   * How long after a rotation a retry with the same Idempotency-Key still receives the same successor, in seconds: 1 to 86400 (24
   * hours), default 43200 (12 hours). After that, the predecessor is reuse, also with its key.
   */
  sameAttemptSeconds: withDefault(
    seconds({ min: 1, max: MAX_SAME_ATTEMPT_SECONDS, fix: 'the maximum is 24 hours' }),
    12 * HOUR_SECONDS,
  ),
  /** The same limits for families that were issued with `offline: true`. Default: 90 days idle, 365 days absolute. */
  offline: withDefault(nested(lifetimeOptions), { idleSeconds: undefined, absoluteSeconds: undefined }),
  /**
   * `never` keeps the same token for clients that authenticate or prove a key at every use (RFC 9700 section 4.14.2). The tokens of all
   * other clients rotate with either setting. Default `always`.
   */
  rotation: withDefault(rotation, 'always'),
})

/** Durations are whole seconds. */
export type PolicyOptions = OptionsOf<typeof policyOptions>

export interface Lifetime {
  readonly idleMs: number | null
  readonly absoluteMs: number
}

/** The validated options in milliseconds. */
export interface Policy extends Lifetime {
  readonly grace: Grace
  readonly graceMs: number
  readonly sameAttemptMs: number
  readonly offline: Lifetime
  readonly rotation: Rotation
}

/** Validates the options and applies the defaults: 30 days idle, 90 days absolute. Throws `ConfigurationError`. */
export function resolvePolicy(options: unknown = {}): Policy {
  const { grace, graceSeconds, sameAttemptSeconds, offline, rotation, ...online } = policyOptions.parse(
    'policy',
    options,
    'policy.',
  )
  return {
    ...resolveLifetime('policy', online, { idleSeconds: 30 * DAY_SECONDS, absoluteSeconds: 90 * DAY_SECONDS }),
    grace,
    graceMs: graceSeconds * 1000,
    sameAttemptMs: sameAttemptSeconds * 1000,
    offline: resolveLifetime('policy.offline', offline, {
      idleSeconds: 90 * DAY_SECONDS,
      absoluteSeconds: 365 * DAY_SECONDS,
    }),
    rotation,
  }
}

function resolveLifetime(
  path: string,
  options: LifetimeOptions,
  defaults: { readonly idleSeconds: number; readonly absoluteSeconds: number },
): Lifetime {
  const { absoluteSeconds = defaults.absoluteSeconds } = options
  // A default must not contradict an option that is set.
  const { idleSeconds = Math.min(defaults.idleSeconds, absoluteSeconds) } = options
  if (idleSeconds !== null && idleSeconds > absoluteSeconds)
    throw new ConfigurationError(
      `${path}.idleSeconds`,
      `must be at most absoluteSeconds (${String(absoluteSeconds)}), got ${String(idleSeconds)}; lower it, or set it to null for no idle limit`,
    )
  return { idleMs: idleSeconds === null ? null : idleSeconds * 1000, absoluteMs: absoluteSeconds * 1000 }
}

/** Returns true if the client's tokens rotate: always for a client that neither authenticates nor proves a key (RFC 9700 section 2.2.2). */
export function rotates(
  rotation: Rotation,
  client: { readonly confidential: boolean; readonly confirmation: Confirmation | null },
): boolean {
  return rotation === 'always' || !(client.confidential || client.confirmation !== null)
}
