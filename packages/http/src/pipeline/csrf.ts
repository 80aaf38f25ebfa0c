import { type PlainRequest, type PlainResponse, soleHeader } from '../messages/message.js'
import { error } from '../messages/responses.js'
import { ownOrigin, type Transport } from './transport.js'

interface AllowedSources {
  readonly transport: Transport
  readonly allowedOrigins: ReadonlySet<string>
}

/**
 * Returns the rejection of a request that is authenticated by a cookie and was not sent by a page of an allowed origin, or null. Pages of
 * other origins can send the cookie, but neither the custom header nor a false Sec-Fetch-Site or Origin.
 */
export function rejectForgedRequest(request: PlainRequest, allowed: AllowedSources): PlainResponse | null {
  if (soleHeader(request, 'x-baton') !== '1') return rejection('Send the header X-Baton: 1, once.')
  const source = findSource(request, allowed)
  if (source === 'own') return null
  return rejection(
    source === 'unknown' ? 'The request has neither Origin nor a known Sec-Fetch-Site.' : DESCRIPTIONS[source],
  )
}

/** Returns the rejection of a request from a page of another origin, or null. Clients that are not browsers may send no origin. */
export function rejectForeignOrigin(request: PlainRequest, allowed: AllowedSources): PlainResponse | null {
  const source = findSource(request, allowed)
  return source === 'own' || source === 'unknown' ? null : rejection(DESCRIPTIONS[source])
}

/** The reasons to reject a request from a page that is not allowed to send it. */
const DESCRIPTIONS = {
  otherOrigin:
    'The Origin is not in allowedOrigins, nor this server, which is known by the option publicUrl, else by the Host header.',
  otherSite: 'By Sec-Fetch-Site, the page is of another origin, and its Origin is not in allowedOrigins.',
  noPage: 'By Sec-Fetch-Site, no page has made the request.',
} as const

function findSource(
  request: PlainRequest,
  { transport, allowedOrigins }: AllowedSources,
): 'own' | 'unknown' | keyof typeof DESCRIPTIONS {
  const origin = soleHeader(request, 'origin')
  const isAllowed = origin !== null && allowedOrigins.has(origin)
  switch (soleHeader(request, 'sec-fetch-site')) {
    case 'same-origin':
      return 'own'
    case 'same-site':
    case 'cross-site':
      return isAllowed ? 'own' : 'otherSite'
    case 'none':
      // The user entered the URL in the address bar. No script can do this.
      return 'noPage'
    default:
      if (origin === null) return 'unknown'
      return isAllowed || origin === ownOrigin(transport) ? 'own' : 'otherOrigin'
  }
}

function rejection(description: string): PlainResponse {
  return error('access_denied', { description })
}
