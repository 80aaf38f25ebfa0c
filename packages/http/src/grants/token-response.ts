import type { Confirmation } from '@baton/core'
import type { MintedAccessToken } from '../access-tokens/access-token.js'
import { tokenTypeOf } from '../proof-of-possession/confirmation.js'
import type { PlainResponse } from '../messages/message.js'
import { json } from '../messages/responses.js'

export interface TokenAnswer {
  readonly minted: MintedAccessToken
  /** Of this answer; empty for none. */
  readonly scope: string
  /** The key that the access token is bound to; null for a bearer token. */
  readonly confirmation: Confirmation | null
  /** Left out where a cookie carries it. */
  readonly refreshToken?: string
  /** The family, for clients that cannot see their refresh token. */
  readonly sid?: string
  readonly headers?: readonly (readonly [name: string, value: string])[]
}

/** The answer of RFC 6749 section 5.1. */
export function tokenAnswer({
  minted,
  scope,
  confirmation,
  refreshToken,
  sid,
  headers = [],
}: TokenAnswer): PlainResponse {
  const body = {
    access_token: minted.accessToken,
    token_type: tokenTypeOf(confirmation),
    expires_in: minted.expiresIn,
    refresh_token: refreshToken,
    scope: scope === '' ? undefined : scope,
    sid,
  }
  return json(200, body, headers)
}
