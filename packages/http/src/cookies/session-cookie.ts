import type { RefreshTokens } from '@baton/core'
import type { CookieToken, RefreshTokenCookie } from './refresh-token-cookie.js'
import { rejectForgedRequest } from '../pipeline/csrf.js'
import { type Exchange, rejectUnproven } from '../pipeline/define-endpoint.js'
import { type PlainResponse, soleHeader } from '../messages/message.js'
import { invalidRequest } from '../messages/responses.js'

export interface SessionCookies {
  /** The tokens of all cookies with this name, and of the legacy cookie; empty without a cookie. */
  readonly cookieTokens: readonly CookieToken[]
  /** The family that the page expects its cookie to belong to (`X-Baton-Session`). */
  readonly expected: { readonly familyId?: string }
}

type ReadSession = ({ readonly ok: true } & SessionCookies) | { readonly ok: false; readonly response: PlainResponse }

/** Reads the session cookies of a request. Rejects a request that no page of an allowed origin has sent. */
export async function readCookieSession(
  exchange: Exchange,
  refreshTokenCookie: RefreshTokenCookie,
  tokens: Pick<RefreshTokens, 'isAuthentic'>,
): Promise<ReadSession> {
  const { request, transport } = exchange
  const cookieTokens = refreshTokenCookie.read(request, transport)
  const hasOwn = () =>
    cookieTokens.some(({ refreshToken, legacyOnly }) => !legacyOnly && tokens.isAuthentic(refreshToken))
  const unproven = await rejectUnproven(exchange, hasOwn)
  if (unproven !== null) return { ok: false, response: unproven }
  const forged = rejectForgedRequest(request, { transport, allowedOrigins: refreshTokenCookie.allowedOrigins })
  if (forged !== null) return { ok: false, response: forged }
  if ((request.headers['x-baton-session']?.length ?? 0) > 1)
    return { ok: false, response: invalidRequest('X-Baton-Session is repeated.') }
  const familyId = soleHeader(request, 'x-baton-session') ?? ''
  return { ok: true, cookieTokens, expected: familyId === '' ? {} : { familyId } }
}

/**
 * Returns the token to refresh with; null without a cookie. Of several cookies it chooses one that a refresh would accept, so that a
 * stale cookie of the same name neither blocks the session nor counts as reuse: the cookie of the expected family, otherwise of the
 * newest family. A legacy cookie is used only without a cookie of Baton. If several legacy cookies would be accepted, none is used: an
 * attacker may have set one of them.
 */
export async function tokenToRefresh(
  tokens: Pick<RefreshTokens, 'inspect'>,
  { cookieTokens, expected }: SessionCookies,
  clientId: string,
): Promise<CookieToken | null> {
  const own = cookieTokens.filter(({ legacyOnly }) => !legacyOnly)
  const candidates = own.length > 0 ? own : cookieTokens
  const [first = null, ...others] = candidates
  if (others.length === 0) return first
  const accepted: { readonly token: CookieToken; readonly rank: number }[] = []
  for (const token of candidates) {
    const inspection = await tokens.inspect(token.refreshToken, { legacyOnly: token.legacyOnly })
    if (!inspection.active || inspection.family.clientId !== clientId) continue
    const { id, createdAt } = inspection.family
    accepted.push({ token, rank: id === expected.familyId ? Infinity : createdAt })
  }
  if (own.length === 0 && accepted.length > 1) return null
  const [best] = accepted.sort((one, other) => other.rank - one.rank)
  return best?.token ?? first
}
