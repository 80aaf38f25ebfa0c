import type { Confirmation, Grant } from '@baton/core'

/** What an access token is made from. */
export interface AccessTokenGrant extends Grant {
  /** The key that the token is bound to: the value of its `cnf` (RFC 7800). Null for a bearer token. */
  readonly confirmation: Confirmation | null
  /** Epoch milliseconds. */
  readonly now: number
  /** What is left of the family, in whole seconds: no access token may outlive it. */
  readonly mostSeconds: number
}

export interface MintedAccessToken {
  readonly accessToken: string
  /** Seconds from `now`. */
  readonly expiresIn: number
}

/** What a verified access token says. Further claims are as the issuer put them. */
export interface AccessTokenClaims {
  readonly iss: string
  readonly sub: string
  readonly client_id: string
  readonly scope: string
  /** The family's id. */
  readonly sid: string
  /** The key that the token is bound to (RFC 7800). */
  readonly cnf?: Confirmation
  /** NumericDate, seconds. */
  readonly exp: number
  readonly iat: number
  readonly jti: string
  readonly aud: string | readonly string[]
  readonly [claim: string]: unknown
}

/** A kind of access token that this server makes and reads by itself. */
export interface AccessTokens {
  /** `iss` of its tokens: this server. */
  readonly issuer: string
  /** `aud` of tokens whose grant names no resource. Without it, a request cannot name the default resource. */
  readonly audience?: string | undefined
  /** Seconds; must be below the idle limit of families, or active people would expire. */
  readonly lifetimeSeconds: number
  /** Uses local keys only, so it does not fail for reasons of its own: runs after the rotation. */
  mint(grant: AccessTokenGrant): Promise<MintedAccessToken>
  /** Null for anything that is not a valid token of ours, for our own audience, at `now` (epoch milliseconds). */
  verify(accessToken: string, now: number): Promise<AccessTokenClaims | null>
  /** The same whatever the audience: for introspection, which tells nobody of tokens that are not for them. */
  read(accessToken: string, now: number): Promise<AccessTokenClaims | null>
}

/** A function of the app's own, such as one that asks a remote key service: runs before anything is consumed. */
export type AccessTokenFunction = (grant: AccessTokenGrant) => Promise<MintedAccessToken>

export type AccessTokenOption = AccessTokens | AccessTokenFunction
