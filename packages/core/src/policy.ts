import type { Confirmation } from './confirmation.js'
import { demandKnown, demandObject, demandOneOf, shown } from './demand.js'
import { ConfigurationError } from './errors.js'

const DAY_SECONDS = 86_400
const MOST_GRACE_SECONDS = 60
const HOUR_SECONDS = 3600
/** `@baton/client` repeats an attempt for as long. */
const MAX_SAME_ATTEMPT_SECONDS = 24 * HOUR_SECONDS
/** Longer than any session should live; above it a value is almost surely in milliseconds. */
const MOST_SECONDS = 3650 * DAY_SECONDS

export const ROTATIONS = ['always', 'never'] as const
export type Rotation = (typeof ROTATIONS)[number]

const GRACES = ['any-attempt', 'same-attempt'] as const
/** Which repeated requests the grace window accepts; see `PolicyOptions.grace`. */
export type Grace = (typeof GRACES)[number]

const LIFETIME_OPTIONS = ['idleSeconds', 'absoluteSeconds']
const POLICY_OPTIONS = ['graceSeconds', 'grace', 'sameAttemptSeconds', 'offline', 'rotation', ...LIFETIME_OPTIONS]

export interface LifetimeOptions {
  /** Longest pause between two refreshes, in seconds; null for no idle limit. */
  readonly idleSeconds?: number | null
  /** Age at which a family ends however busy it is, in seconds. */
  readonly absoluteSeconds?: number
}

/** Durations are whole seconds. */
export interface PolicyOptions extends LifetimeOptions {
  /**
   * How long after a rotation the direct predecessor still earns the same successor, in seconds: 0 to 60, default 30. 0 is
   * strict: of two concurrent refreshes without a common Idempotency-Key, the second one ends the family.
   */
  readonly graceSeconds?: number
  /**
   * Which requests with the predecessor the grace window accepts. `any-attempt`: all of them, also those of a second holder of the
   * token. `same-attempt`: if the rotation or the request carries an Idempotency-Key, only a request with the rotation's key; any
   * other one ends the family as reuse. If neither carries a key, the window applies as before. Use `same-attempt` only if every
   * client repeats its key when it repeats a refresh, and lets one refresh finish before it starts another. Default `any-attempt`.
   */
  readonly grace?: Grace
  /**
   * How long after a rotation a retry with the same Idempotency-Key still receives the same successor, in seconds: 1 to 86400 (24
   * hours), default 43200 (12 hours). Afterwards the predecessor is reuse, with its key as well.
   */
  readonly sameAttemptSeconds?: number
  /** Limits of offline_access families. Default: 90 days idle, 365 days absolute. */
  readonly offline?: LifetimeOptions
  /**
   * `never` keeps the same token for clients that authenticate or prove a key at every use (RFC 9700 section 4.14.2). Everyone
   * else's tokens rotate whatever is set here. Default `always`.
   */
  readonly rotation?: Rotation
}

export interface Lifetime {
  readonly idleMs: number | null
  readonly absoluteMs: number
}

/** The options, checked and in milliseconds. */
export interface Policy extends Lifetime {
  readonly grace: Grace
  readonly graceMs: number
  readonly sameAttemptMs: number
  readonly offline: Lifetime
  readonly rotation: Rotation
}

/** Checks the options and fills in defaults: 30 days idle, 90 days absolute. Throws `ConfigurationError`. */
export function resolvePolicy(options: PolicyOptions = {}): Policy {
  demandObject('policy', options)
  demandKnown(options, POLICY_OPTIONS, 'policy.')
  const { grace = 'any-attempt', graceSeconds = 30, sameAttemptSeconds = 12 * HOUR_SECONDS } = options
  const { offline = {}, rotation = 'always' } = options
  demandObject('policy.offline', offline)
  demandKnown(offline, LIFETIME_OPTIONS, 'policy.offline.')
  if (!Number.isInteger(graceSeconds) || graceSeconds < 0 || graceSeconds > MOST_GRACE_SECONDS)
    throw new ConfigurationError(
      'policy.graceSeconds',
      `${shown(graceSeconds)} is not a whole number of seconds from 0 to ${String(MOST_GRACE_SECONDS)}; a longer window hides theft${unitHint(graceSeconds)}`,
    )
  if (!Number.isInteger(sameAttemptSeconds) || sameAttemptSeconds < 1 || sameAttemptSeconds > MAX_SAME_ATTEMPT_SECONDS)
    throw new ConfigurationError(
      'policy.sameAttemptSeconds',
      `must be an integer from 1 to ${String(MAX_SAME_ATTEMPT_SECONDS)} (24 hours), got ${shown(sameAttemptSeconds)}${unitHint(sameAttemptSeconds)}`,
    )
  demandOneOf('policy.grace', grace, GRACES)
  demandOneOf('policy.rotation', rotation, ROTATIONS)
  return {
    ...resolveLifetime(options, 'policy', { idleSeconds: 30 * DAY_SECONDS, absoluteSeconds: 90 * DAY_SECONDS }),
    grace,
    graceMs: graceSeconds * 1000,
    sameAttemptMs: sameAttemptSeconds * 1000,
    offline: resolveLifetime(offline, 'policy.offline', {
      idleSeconds: 90 * DAY_SECONDS,
      absoluteSeconds: 365 * DAY_SECONDS,
    }),
    rotation,
  }
}

function resolveLifetime(
  options: LifetimeOptions,
  path: string,
  defaults: { idleSeconds: number; absoluteSeconds: number },
): Lifetime {
  const absoluteSeconds = options.absoluteSeconds === undefined ? defaults.absoluteSeconds : options.absoluteSeconds
  demandDuration(`${path}.absoluteSeconds`, absoluteSeconds)
  // A default must not contradict what the caller did set.
  const idleSeconds =
    options.idleSeconds === undefined ? Math.min(defaults.idleSeconds, absoluteSeconds) : options.idleSeconds
  if (idleSeconds === null) return { idleMs: null, absoluteMs: absoluteSeconds * 1000 }
  demandDuration(`${path}.idleSeconds`, idleSeconds)
  if (idleSeconds > absoluteSeconds)
    throw new ConfigurationError(
      `${path}.idleSeconds`,
      `${String(idleSeconds)} is above absoluteSeconds (${String(absoluteSeconds)}) and could never take effect; lower it, or set it to null for no idle limit`,
    )
  return { idleMs: idleSeconds * 1000, absoluteMs: absoluteSeconds * 1000 }
}

function demandDuration(option: string, seconds: unknown): asserts seconds is number {
  if (typeof seconds === 'number' && Number.isInteger(seconds) && seconds >= 1 && seconds <= MOST_SECONDS) return
  throw new ConfigurationError(
    option,
    `${shown(seconds)} is not a whole number of seconds from 1 to ${String(MOST_SECONDS)} (ten years)${unitHint(seconds)}`,
  )
}

function unitHint(value: unknown): string {
  return typeof value === 'number' && value >= 1000 && value % 1000 === 0
    ? `; if ${String(value)} is in milliseconds, write ${String(value / 1000)}`
    : ''
}

/** A client that neither authenticates nor proves a key gets rotation whatever the policy says (RFC 9700 section 2.2.2). */
export function rotates(
  rotation: Rotation,
  client: { readonly confidential: boolean; readonly confirmation: Confirmation | null },
): boolean {
  return rotation === 'always' || !(client.confidential || client.confirmation !== null)
}
