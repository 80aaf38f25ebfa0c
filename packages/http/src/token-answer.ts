import type { MintedAccessToken } from './access-tokens/access-token.js'
import type { PlainResponse } from './message.js'
import { json } from './respond.js'

export interface TokenAnswer {
  readonly minted: MintedAccessToken
  /** Of this answer; empty for none. */
  readonly scope: string
  /** The access token is bound to a key (RFC 9449 section 5). */
  readonly jkt: string | null
  /** Left out where a cookie carries it. */
  readonly refreshToken?: string
  /** The family, for clients that cannot see their refresh token. */
  readonly sid?: string
  readonly headers?: readonly (readonly [name: string, value: string])[]
}

/** The answer of RFC 6749 section 5.1. */
export function tokenAnswer({ minted, scope, jkt, refreshToken, sid, headers = [] }: TokenAnswer): PlainResponse {
  const body = {
    access_token: minted.accessToken,
    token_type: jkt === null ? 'Bearer' : 'DPoP',
    expires_in: minted.expiresIn,
    refresh_token: refreshToken,
    scope: scope === '' ? undefined : scope,
    sid,
  }
  return json(200, body, headers)
}
