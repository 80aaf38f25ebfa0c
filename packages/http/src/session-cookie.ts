import type { RefreshTokens } from '@baton/core'
import type { CookieCarrier } from './carrier.js'
import { forged, isForged } from './csrf.js'
import { type Exchange, rejectUnproven } from './endpoint.js'
import { type PlainResponse, soleHeader } from './message.js'
import { invalidRequest } from './respond.js'

export interface SessionCookies {
  /** The tokens of all cookies of the name; empty without a cookie. */
  readonly refreshTokens: readonly string[]
  /** The family that the page believes its cookie to be of. */
  readonly expected: { readonly familyId?: string }
}

type ReadSession = ({ readonly ok: true } & SessionCookies) | { readonly ok: false; readonly response: PlainResponse }

/** Reads the session cookies of a request, if the request comes from a page that may send them. */
export async function readCookieSession(
  exchange: Exchange,
  carrier: CookieCarrier,
  tokens: Pick<RefreshTokens, 'isAuthentic'>,
): Promise<ReadSession> {
  const { request, transport } = exchange
  const refreshTokens = carrier.read(request, transport)
  const unproven = await rejectUnproven(exchange, () => refreshTokens.some((token) => tokens.isAuthentic(token)))
  if (unproven !== null) return { ok: false, response: unproven }
  if (isForged(request, { transport, allowedOrigins: carrier.allowedOrigins })) return { ok: false, response: forged() }
  if ((request.headers['x-baton-session']?.length ?? 0) > 1)
    return { ok: false, response: invalidRequest('X-Baton-Session is repeated.') }
  const familyId = soleHeader(request, 'x-baton-session') ?? ''
  return { ok: true, refreshTokens, expected: familyId === '' ? {} : { familyId } }
}

/**
 * The token to refresh with; null without a cookie. Of several it is one that a refresh would accept, so that a stale cookie of the
 * same name neither blocks the session nor counts as reuse: the one of the expected family, else of the newest.
 */
export async function tokenToRefresh(
  tokens: Pick<RefreshTokens, 'inspect'>,
  { refreshTokens, expected }: SessionCookies,
  clientId: string,
): Promise<string | null> {
  const [first = null, ...others] = refreshTokens
  if (others.length === 0) return first
  let best = { refreshToken: first, rank: -Infinity }
  for (const refreshToken of refreshTokens) {
    const inspection = await tokens.inspect(refreshToken)
    if (!inspection.active || inspection.family.clientId !== clientId) continue
    const { id, createdAt } = inspection.family
    const rank = id === expected.familyId ? Infinity : createdAt
    if (rank > best.rank) best = { refreshToken, rank }
  }
  return best.refreshToken
}
