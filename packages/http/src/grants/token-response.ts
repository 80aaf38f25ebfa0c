import type { Confirmation } from '@baton/core'
import type { MintedAccessToken } from '../access-tokens/access-token.js'
import { tokenTypeFor } from '../proof-of-possession/confirmation.js'
import type { PlainResponse } from '../messages/message.js'
import { json } from '../messages/responses.js'

export interface TokenResponseOptions {
  readonly minted: MintedAccessToken
  /** The scope of the access token; empty for none. */
  readonly scope: string
  /** The key that the access token is bound to; null for a bearer token. */
  readonly confirmation: Confirmation | null
  /** Omitted if it is sent in a cookie. */
  readonly refreshToken?: string
  /** The id of the session, for clients that cannot read their refresh token. */
  readonly sid?: string
  readonly headers?: readonly (readonly [name: string, value: string])[]
}

/** Returns the response of RFC 6749 section 5.1. */
export function tokenResponse({
  minted,
  scope,
  confirmation,
  refreshToken,
  sid,
  headers = [],
}: TokenResponseOptions): PlainResponse {
  const body = {
    access_token: minted.accessToken,
    token_type: tokenTypeFor(confirmation),
    expires_in: minted.expiresIn,
    refresh_token: refreshToken,
    scope: scope === '' ? undefined : scope,
    sid,
  }
  return json(200, body, headers)
}
