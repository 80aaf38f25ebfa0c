import { type PlainRequest, type PlainResponse, soleHeader } from '../messages/message.js'
import { error } from '../messages/responses.js'
import { ownOrigin, type Transport } from './transport.js'

interface Receiver {
  readonly transport: Transport
  readonly allowedOrigins: ReadonlySet<string>
}

/**
 * Returns the rejection of a request that is authenticated by a cookie and was not sent by a page of an allowed origin, or null. Pages of
 * other origins can send the cookie, but neither the custom header nor a false Sec-Fetch-Site or Origin.
 */
export function rejectForged(request: PlainRequest, receiver: Receiver): PlainResponse | null {
  if (soleHeader(request, 'x-baton') !== '1') return denied('Send the header X-Baton: 1, once.')
  const source = findSource(request, receiver)
  if (source === 'own') return null
  return denied(source === 'unknown' ? 'The request has neither Origin nor a known Sec-Fetch-Site.' : FOREIGN[source])
}

/** Rejects a request that a page of another origin has made. Weaker than `rejectForged`: clients other than browsers send no origin. */
export function rejectForeign(request: PlainRequest, receiver: Receiver): PlainResponse | null {
  const source = findSource(request, receiver)
  return source === 'own' || source === 'unknown' ? null : denied(FOREIGN[source])
}

/** How a page that may not make the request shows. */
const FOREIGN = {
  otherOrigin:
    'The Origin is not in allowedOrigins, nor this server, which is known by the option publicUrl, else by the Host header.',
  otherSite: 'By Sec-Fetch-Site, the page is of another origin, and its Origin is not in allowedOrigins.',
  noPage: 'By Sec-Fetch-Site, no page has made the request.',
} as const

function findSource(
  request: PlainRequest,
  { transport, allowedOrigins }: Receiver,
): 'own' | 'unknown' | keyof typeof FOREIGN {
  const origin = soleHeader(request, 'origin')
  const isAllowed = origin !== null && allowedOrigins.has(origin)
  switch (soleHeader(request, 'sec-fetch-site')) {
    case 'same-origin':
      return 'own'
    case 'same-site':
    case 'cross-site':
      return isAllowed ? 'own' : 'otherSite'
    case 'none':
      // Typed into the address bar, which no script does.
      return 'noPage'
    default:
      if (origin === null) return 'unknown'
      return isAllowed || origin === ownOrigin(transport) ? 'own' : 'otherOrigin'
  }
}

function denied(description: string): PlainResponse {
  return error('access_denied', { description })
}
