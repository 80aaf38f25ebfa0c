import { ConfigurationError } from '@baton/core'
import { demandKnown } from './endpoint.js'
import { type Endpoint, type PlainRequest, type PlainResponse, soleHeader } from './message.js'
import { demandOrigin } from './origin.js'

export interface CorsOptions {
  /** Origins whose pages may call, exact: `https://app.example`, `capacitor://localhost`. */
  readonly origins: readonly string[]
}

type Header = PlainResponse['headers'][number]

/** What pages may send besides what every page may: credentials of clients, proofs, and the key of a retry. */
const REQUEST_HEADERS = 'authorization, content-type, dpop, idempotency-key'
/** What pages get to see besides what every page does. */
const EXPOSED = 'date, dpop-nonce, www-authenticate, retry-after, ratelimit, ratelimit-policy'
const PREFLIGHT_SECONDS = '600'

/**
 * Lets pages of other origins call an endpoint that takes `POST` and no cookie, and lets them read its errors too. Never with
 * credentials: no cookie rides along. Not for your authorize page, which people visit and scripts do not (RFC 9700 section 2.6).
 * Throws `ConfigurationError`.
 */
export function withCors(endpoint: Endpoint, options: CorsOptions): Endpoint {
  demandKnown(options, ['origins'])
  const origins = originsOf(options.origins)
  return async (request) => {
    const origin = soleHeader(request, 'origin')
    // An origin that is not on the list is never repeated, not even to refuse it.
    const allowed = origin !== null && origins.has(origin) ? origin : null
    if (allowed !== null && isPreflight(request)) return preflight(allowed)
    const { headers, ...response } = await endpoint(request)
    return { ...response, headers: [...headers, ...(allowed === null ? [] : readableBy(allowed)), ['vary', 'Origin']] }
  }
}

function originsOf(origins: unknown): ReadonlySet<string> {
  if (!Array.isArray(origins)) throw new ConfigurationError('cors.origins', 'is not a list of origins')
  for (const origin of origins) demandOrigin('cors.origins', origin)
  return new Set(origins as string[])
}

function isPreflight({ method, headers }: PlainRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
}

function preflight(origin: string): PlainResponse {
  return {
    status: 204,
    headers: [
      ['access-control-allow-origin', origin],
      ['access-control-allow-methods', 'POST'],
      ['access-control-allow-headers', REQUEST_HEADERS],
      ['access-control-max-age', PREFLIGHT_SECONDS],
      ['vary', 'Origin'],
    ],
    body: null,
  }
}

function readableBy(origin: string): readonly Header[] {
  return [
    ['access-control-allow-origin', origin],
    ['access-control-expose-headers', EXPOSED],
  ]
}
