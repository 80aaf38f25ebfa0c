import { type PlainRequest, type PlainResponse, soleHeader } from './message.js'
import { error } from './respond.js'
import { ownOrigin, type Transport } from './transport.js'

interface Receiver {
  readonly transport: Transport
  readonly allowedOrigins: ReadonlySet<string>
}

/**
 * Whether a request that a cookie authenticates was made by a page that may make it. Pages elsewhere can send the cookie but
 * neither the custom header nor a false Sec-Fetch-Site or Origin.
 */
export function isForged(request: PlainRequest, receiver: Receiver): boolean {
  return soleHeader(request, 'x-baton') !== '1' || sourceOf(request, receiver) !== 'ours'
}

/** Whether a page elsewhere made this request. Weaker than `isForged`: what is no browser says nothing of where it comes from. */
export function isForeign(request: PlainRequest, receiver: Receiver): boolean {
  return sourceOf(request, receiver) === 'foreign'
}

function sourceOf(request: PlainRequest, { transport, allowedOrigins }: Receiver): 'ours' | 'foreign' | 'untold' {
  const origin = soleHeader(request, 'origin')
  const isAllowed = origin !== null && allowedOrigins.has(origin)
  switch (soleHeader(request, 'sec-fetch-site')) {
    case 'same-origin':
      return 'ours'
    case 'same-site':
    case 'cross-site':
      return isAllowed ? 'ours' : 'foreign'
    case 'none':
      // Typed into the address bar, which no script of ours does.
      return 'foreign'
    default:
      if (origin === null) return 'untold'
      return isAllowed || origin === ownOrigin(transport) ? 'ours' : 'foreign'
  }
}

export function forged(): PlainResponse {
  return error('access_denied', { description: 'This request must come from a page of this app.' })
}
