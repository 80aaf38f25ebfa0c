import type { CookieCarrier } from './carrier.js'
import { forged, isForged } from './csrf.js'
import type { Exchange } from './endpoint.js'
import { type PlainResponse, soleHeader } from './message.js'
import { invalidRequest } from './respond.js'

export type CookieSession =
  | {
      readonly ok: true
      /** Null without a cookie. */
      readonly refreshToken: string | null
      /** The family that the page believes its cookie to be of. */
      readonly expected: { readonly familyId?: string }
    }
  | { readonly ok: false; readonly response: PlainResponse }

/** Reads the session of a request from a page: only from pages that may ask, and only when there is no doubt which cookie is meant. */
export function readCookieSession({ request, transport }: Exchange, carrier: CookieCarrier): CookieSession {
  if (isForged(request, { transport, allowedOrigins: carrier.allowedOrigins })) return { ok: false, response: forged() }
  if ((request.headers['x-baton-session']?.length ?? 0) > 1) return refuse('X-Baton-Session is repeated.')
  const carried = carrier.read(request, transport)
  if (carried.kind === 'several') return refuse('There are several session cookies.')
  const familyId = soleHeader(request, 'x-baton-session') ?? ''
  return {
    ok: true,
    refreshToken: carried.kind === 'one' ? carried.refreshToken : null,
    expected: familyId === '' ? {} : { familyId },
  }
}

function refuse(description: string): CookieSession {
  return { ok: false, response: invalidRequest(description) }
}
