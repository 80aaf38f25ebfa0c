import { type PlainRequest, type PlainResponse, soleHeader } from './message.js'
import { error } from './respond.js'
import { ownOrigin, type Transport } from './transport.js'

/**
 * Whether a request that a cookie authenticates was made by a page that may make it. Pages elsewhere can send the cookie but
 * neither the custom header nor a false Sec-Fetch-Site or Origin.
 */
export function isForged(
  request: PlainRequest,
  from: { readonly transport: Transport; readonly allowedOrigins: ReadonlySet<string> },
): boolean {
  if (soleHeader(request, 'x-baton') !== '1') return true
  const origin = soleHeader(request, 'origin')
  const isAllowed = origin !== null && from.allowedOrigins.has(origin)
  switch (soleHeader(request, 'sec-fetch-site')) {
    case 'same-origin':
      return false
    case 'same-site':
    case 'cross-site':
      return !isAllowed
    case 'none':
      // Typed into the address bar, which no script of ours does.
      return true
    default:
      return !isAllowed && (origin === null || origin !== ownOrigin(request, from.transport))
  }
}

export function forged(): PlainResponse {
  return error('access_denied', { description: 'This request must come from a page of this app.' })
}
