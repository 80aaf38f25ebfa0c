import { declareOptions, listOf, matching, optional, type ParsedOptions, seconds } from '@baton/core/options'

/** Characters of one item in a space-separated list inside a quoted string. */
const ITEM = /^[\x21\x23-\x5b\x5d-\x7e]+$/
const MAX_AGE_SECONDS = 31_536_000

/** The options of a guard that require a certain authentication of the user (RFC 9470). */
export const stepUpOptions = declareOptions({
  /**
   * The accepted values of `acr`, in order of preference: how the user was authenticated, such as with two factors. A token with another or no
   * `acr` is rejected with `insufficient_user_authentication` (RFC 9470), and the client can ask the user to authenticate again.
   */
  acrValues: optional(
    listOf(matching(ITEM, 'printable ASCII without space, " and \\'), {
      min: 1,
      max: 16,
    }),
  ),
  /**
   * The maximum time since the user was authenticated: `auth_time` of the token. A token with an older or no `auth_time` is rejected with
   * `insufficient_user_authentication`. 0 to 31 536 000.
   */
  maxAuthAgeSeconds: optional(seconds({ min: 0, max: MAX_AGE_SECONDS })),
})

export type StepUp = ParsedOptions<typeof stepUpOptions>

/** The claims of a token about the authentication of the user (RFC 9068 section 2.2.1). */
export interface AuthenticationClaims {
  readonly acr?: unknown
  /** NumericDate, seconds. */
  readonly auth_time?: unknown
}

/** Returns true if the user was authenticated as required. `now` is in epoch milliseconds. */
export function isAuthenticatedAsRequired(claims: AuthenticationClaims, stepUp: StepUp, now: number): boolean {
  const { acrValues, maxAuthAgeSeconds } = stepUp
  if (acrValues !== undefined && !acrValues.some((value) => value === claims.acr)) return false
  if (maxAuthAgeSeconds === undefined) return true
  const authTime = claims.auth_time
  return typeof authTime === 'number' && now / 1000 - authTime <= maxAuthAgeSeconds
}

/** Returns the parameters of the challenge (RFC 9470 section 3). */
export function stepUpParameters({ acrValues, maxAuthAgeSeconds }: StepUp): readonly (readonly [string, string])[] {
  return [
    ...(acrValues === undefined ? [] : [['acr_values', acrValues.join(' ')] as const]),
    ...(maxAuthAgeSeconds === undefined ? [] : [['max_age', String(maxAuthAgeSeconds)] as const]),
  ]
}
