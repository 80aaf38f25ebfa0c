import type { Confirmation } from '../model/confirmation.js'
import type { Family, FamilyId } from '../model/family.js'
import { grantOptions } from '../model/grant.js'
import { boolean, declareOptions, func, instant, type OptionsOf, optional, required, withDefault } from '../options.js'

/** The argument of `beforeRotate`. */
export interface BeforeRotateContext {
  readonly family: Family
}

/** The result of `beforeRotate`. Undefined lets the refresh proceed; anything else without a boolean `active` is a fault. */
export interface BeforeRotateVerdict {
  /** False rejects the request with `invalid_grant` and consumes nothing. To revoke the families as well, call `revokeSubject`. */
  readonly active: boolean
  /** Passed to the access-token function, for claims that must be up to date, such as roles. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** Families of this subject created before this instant (epoch milliseconds) are rejected, such as after a password change. */
  readonly validAfter?: number | null
}

/** Called before every response that contains tokens, to check that the account is still active and to load current claims. */
export type BeforeRotate = (context: BeforeRotateContext) => Promise<BeforeRotateVerdict | undefined>

/** What a response will grant. Passed to `beforeCommit`, which creates the access token from it. */
export interface Grant {
  readonly family: Family
  /** Of this response: the family's scope, or the part that the request asked for. */
  readonly scope: string
  /** Of this response: the family's audience, or the part that the request asked for. */
  readonly audience: readonly string[]
  /** From `beforeRotate`. */
  readonly claims: Readonly<Record<string, unknown>>
}

/** Work that may fail, such as signing with a remote service. Called before anything is consumed. */
export type BeforeCommit<Prepared> = (grant: Grant) => Promise<Prepared>

/**
 * Who presents a token, as far as the request shows it. Limit requests by all members together: requests with another client or key,
 * which cannot use the token, must not use up the limit of requests that can.
 */
export interface TokenHolder {
  readonly familyId: FamilyId
  readonly clientId: string
  /** The key that the request proved; null for a token that is not bound to a key. */
  readonly confirmation: Confirmation | null
}

/** Returns false to reject the request as rate limited. */
export type CheckRateLimit = (holder: TokenHolder) => Promise<boolean>

export const legacyGrantOptions = grantOptions.extend({
  /**
   * When the other system will stop accepting the token; for a token that never expires, when you will stop accepting it. The family's
   * record is kept until one minute later, even if revoked, so that a token never creates a second family. It must not move later.
   */
  expiresAt: required(instant()),
  /**
   * When the user signed in. Default: unknown. Then the absolute limit counts from the first use here, and the token is rejected if
   * a client or `beforeRotate` has a `validAfter`.
   */
  createdAt: optional(instant()),
  /** When the family expires however often it is used. Default: `createdAt` plus the policy's absolute limit. */
  absoluteExpiresAt: optional(instant()),
})

/** The grant of another system's refresh token, and its limits. Instants are epoch milliseconds; fractions are dropped. */
export type LegacyGrant = OptionsOf<typeof legacyGrantOptions>

export const legacyTokenOptions = declareOptions({
  /**
   * Returns the identity of a token from its text alone. Two spellings that `lookup` accepts as one token must have one identity;
   * otherwise they would create two families. Null for text that is not a token of that system; `lookup` is then not called.
   * Default: the exact text.
   */
  normalize: optional(func<(token: string) => string | null>()),
  /**
   * Returns the grant of the token, or null if that system would reject it now; check its list of revoked tokens, too. Called before every
   * exchange until the family exists. If it throws, the request fails with an `OperationalError` and the session continues.
   */
  lookup: required(func<(token: string) => Promise<LegacyGrant | null>>()),
  /**
   * Called after the family was created, so that the other system can delete the token. Not awaited. Called again whenever the token is
   * presented again, so it must be idempotent. If it fails, a `fault` event is emitted.
   */
  onMigrated: optional(func<(token: string, family: Family) => Promise<unknown>>()),
})

/** Refresh tokens of the system that you migrate from. Each is exchanged once, for a new family. */
export type LegacyTokenSource = OptionsOf<typeof legacyTokenOptions>

export const tokenOriginOptions = declareOptions({
  /**
   * True rejects every token of Baton as malformed and accepts only tokens of `legacyTokens`. For a place where another party may have put
   * the token, such as a cookie with the name that the old system used.
   */
  legacyOnly: withDefault(boolean(), false),
})

/** Where a token comes from. */
export type TokenOrigin = OptionsOf<typeof tokenOriginOptions>
