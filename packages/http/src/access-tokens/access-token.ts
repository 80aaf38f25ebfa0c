import type { Grant } from '@baton/core'

/** What an access token is made from. */
export interface AccessTokenGrant extends Grant {
  /** The key that the token is bound to, `jkt:…` or `x5t#S256:…`: goes into `cnf` (`confirmationOf`). Null for a bearer token. */
  readonly boundKey: string | null
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
  /** NumericDate, seconds. */
  readonly exp: number
  readonly iat: number
  readonly jti: string
  readonly aud: string | readonly string[]
  readonly [claim: string]: unknown
}

/** A kind of access token that this server makes and reads by itself. */
export interface AccessTokens {
  /** Seconds; must be below the idle limit of families, or active people would expire. */
  readonly lifetimeSeconds: number
  /** Uses local keys only, so it does not fail for reasons of its own: runs after the rotation. */
  mint(grant: AccessTokenGrant): Promise<MintedAccessToken>
  /** Null for anything that is not a valid token of ours at `now` (epoch milliseconds). */
  verify(accessToken: string, now: number): Promise<AccessTokenClaims | null>
}

/** A function of the app's own, such as one that asks a remote key service: runs before anything is consumed. */
export type AccessTokenFunction = (grant: AccessTokenGrant) => Promise<MintedAccessToken>

export type AccessTokenOption = AccessTokens | AccessTokenFunction
