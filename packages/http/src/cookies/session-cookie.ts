import type { RefreshTokens } from '@baton/core'
import type { CookieToken, RefreshTokenCookie } from './refresh-token-cookie.js'
import { rejectForged } from '../pipeline/csrf.js'
import { type Exchange, rejectUnproven } from '../pipeline/define-endpoint.js'
import { type PlainResponse, soleHeader } from '../messages/message.js'
import { invalidRequest } from '../messages/responses.js'

export interface SessionCookies {
  /** The tokens of all cookies of the name, and of the legacy cookie; empty without a cookie. */
  readonly carried: readonly CookieToken[]
  /** The family that the page believes its cookie to be of. */
  readonly expected: { readonly familyId?: string }
}

type ReadSession = ({ readonly ok: true } & SessionCookies) | { readonly ok: false; readonly response: PlainResponse }

/** Reads the session cookies of a request, if the request comes from a page that may send them. */
export async function readCookieSession(
  exchange: Exchange,
  carrier: RefreshTokenCookie,
  tokens: Pick<RefreshTokens, 'isAuthentic'>,
): Promise<ReadSession> {
  const { request, transport } = exchange
  const carried = carrier.read(request, transport)
  const hasOwn = () => carried.some(({ refreshToken, legacyOnly }) => !legacyOnly && tokens.isAuthentic(refreshToken))
  const unproven = await rejectUnproven(exchange, hasOwn)
  if (unproven !== null) return { ok: false, response: unproven }
  const forged = rejectForged(request, { transport, allowedOrigins: carrier.allowedOrigins })
  if (forged !== null) return { ok: false, response: forged }
  if ((request.headers['x-baton-session']?.length ?? 0) > 1)
    return { ok: false, response: invalidRequest('X-Baton-Session is repeated.') }
  const familyId = soleHeader(request, 'x-baton-session') ?? ''
  return { ok: true, carried, expected: familyId === '' ? {} : { familyId } }
}

/**
 * The token to refresh with; null without a cookie. Of several it is one that a refresh would accept, so that a stale cookie of the
 * same name neither blocks the session nor counts as reuse: the one of the expected family, else of the newest. A legacy cookie
 * counts only without Baton's. Of several legacy cookies that would be accepted none is: an attacker may have set one of them.
 */
export async function tokenToRefresh(
  tokens: Pick<RefreshTokens, 'inspect'>,
  { carried, expected }: SessionCookies,
  clientId: string,
): Promise<CookieToken | null> {
  const own = carried.filter(({ legacyOnly }) => !legacyOnly)
  const candidates = own.length > 0 ? own : carried
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
