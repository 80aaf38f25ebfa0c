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

/** The claims of a verified access token of any server (RFC 9068). Further claims have the values that the issuer set. */
export interface RemoteAccessTokenClaims {
  readonly iss: string
  readonly sub: string
  readonly client_id: string
  readonly scope: string
  /** The id of the session, if the issuer has sessions. */
  readonly sid?: string
  /** The key that the token is bound to (RFC 7800). */
  readonly cnf?: Confirmation
  /** NumericDate, seconds. */
  readonly exp: number
  readonly iat: number
  readonly jti: string
  readonly aud: string | readonly string[]
  readonly [claim: string]: unknown
}

/** The claims of a verified access token that Baton issued. */
export interface AccessTokenClaims extends RemoteAccessTokenClaims {
  readonly sid: string
}

/** The result of a verification. */
export type Verification<Claims> =
  | { readonly claims: Claims }
  | {
      readonly claims: null
      /** No later time and no other key makes the token valid, as after a wrong signature. False if in doubt. */
      readonly isFinal: boolean
    }

/** Verifies access tokens. */
export interface TokenVerifier<Claims> {
  /**
   * Returns the claims of an access token that is valid for this verifier at `now` (epoch milliseconds), or null for any other text.
   * An error is a 503 response.
   */
  verify(accessToken: string, now: number): Promise<Claims | null>
  /**
   * Present if guards may cache the result of `verify`: it then depends only on the token, on `exp` and `nbf`, and on the returned
   * version. A cached result is used only while this function returns the same value (`Object.is`), so the version must change when a key
   * is removed. It is called on every request, with its time. Absent: the result is not cached. The claims must be JSON values with a numeric `exp`;
   * a guard freezes them.
   */
  readonly cacheVersion?: ((now: number) => unknown) | undefined
  /** `verify` for guards with a cache. It says of a rejection whether it is final. Default: no rejection is cached. */
  readonly verifyForCache?:
    ((accessToken: string, now: number) => Verification<Claims> | Promise<Verification<Claims>>) | undefined
}

/** Access tokens that this server issues and verifies: what `jwtAccessTokens()` and `sealedAccessTokens()` return. */
export interface AccessTokens extends TokenVerifier<AccessTokenClaims> {
  /** `iss` of its tokens: this server. */
  readonly issuer: string
  /** `aud` of tokens whose grant names no resource. Without it, a request cannot name the default resource. */
  readonly audience?: string | undefined
  /** Seconds. Must be below the idle limit of sessions, or sessions in use would expire. */
  readonly lifetimeSeconds: number
  /** Issues an access token. Uses local keys only and cannot fail, so it runs after the rotation. */
  mint(grant: AccessTokenGrant): Promise<MintedAccessToken>
  /** Returns the claims of a valid token of this issuer for any audience, or null: for introspection, which checks the audience itself. */
  read(accessToken: string, now: number): Promise<AccessTokenClaims | null>
}

/** Your own function, such as one that calls a remote key service. It runs before the refresh token is consumed. */
export type AccessTokenFunction = (grant: AccessTokenGrant) => Promise<MintedAccessToken>

export type AccessTokenOption = AccessTokens | AccessTokenFunction
