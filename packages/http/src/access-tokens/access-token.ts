import type { Confirmation, Grant } from '@baton/core'

/** What an access token is issued for. */
export interface AccessTokenGrant extends Grant {
  /** The key that the token is bound to: the value of its `cnf` (RFC 7800). Null for a bearer token. */
  readonly confirmation: Confirmation | null
  /** Epoch milliseconds. */
  readonly now: number
  /** The remaining lifetime of the session in whole seconds: no access token may outlive it. */
  readonly maxLifetimeSeconds: number
}

export interface MintedAccessToken {
  readonly accessToken: string
  /** Seconds from `now`. */
  readonly expiresIn: number
}

/** The claims of a verified access token. Further claims have the values that the issuer set. */
export interface AccessTokenClaims {
  readonly iss: string
  readonly sub: string
  readonly client_id: string
  readonly scope: string
  /** The id of the session. */
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

/** Access tokens that this server issues and verifies: what `jwtAccessTokens()` and `sealedAccessTokens()` return. */
export interface AccessTokens {
  /** `iss` of its tokens: this server. */
  readonly issuer: string
  /** `aud` of tokens whose grant names no resource. Without it, a request cannot name the default resource. */
  readonly audience?: string | undefined
  /** Seconds. Must be below the idle limit of sessions, or sessions in use would expire. */
  readonly lifetimeSeconds: number
  /** Issues an access token. Uses local keys only and cannot fail, so it runs after the rotation. */
  mint(grant: AccessTokenGrant): Promise<MintedAccessToken>
  /** Returns the claims of a token of this issuer and audience that is valid at `now` (epoch milliseconds), or null. */
  verify(accessToken: string, now: number): Promise<AccessTokenClaims | null>
  /** Returns the claims of a valid token of this issuer for any audience, or null: for introspection, which checks the audience itself. */
  read(accessToken: string, now: number): Promise<AccessTokenClaims | null>
}

/** Your own function, such as one that calls a remote key service. It runs before the refresh token is consumed. */
export type AccessTokenFunction = (grant: AccessTokenGrant) => Promise<MintedAccessToken>

export type AccessTokenOption = AccessTokens | AccessTokenFunction
