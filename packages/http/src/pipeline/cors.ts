import { declareOptions, listOf, type OptionsOf, required } from '@baton/core/options'
import { type Endpoint, type PlainRequest, type PlainResponse, soleHeader } from '../messages/message.js'
import { origin } from './origin.js'

export const corsOptions = declareOptions({
  /** The exact origins whose pages may call: `https://app.example`, `capacitor://localhost`. */
  origins: required(listOf(origin())),
})

export type CorsOptions = OptionsOf<typeof corsOptions>

type Header = PlainResponse['headers'][number]

/** Headers that pages may send in addition to the safelisted ones: client credentials, DPoP proofs, and the key of a retry. */
const REQUEST_HEADERS = 'authorization, content-type, dpop, idempotency-key'
/** Headers that pages may read in addition to the safelisted ones. */
const EXPOSED_HEADERS = 'date, dpop-nonce, www-authenticate, retry-after, ratelimit, ratelimit-policy'
const PREFLIGHT_SECONDS = '600'

/**
 * Adds CORS to an endpoint that accepts `POST` and no cookie: pages of the listed origins may call it and read its errors, always without
 * credentials. Do not use it for your authorization page, which users visit and scripts do not
 * ([RFC 9700 section 2.6](https://www.rfc-editor.org/rfc/rfc9700#section-2.6)). Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { tokenEndpoint, withCors } from '@baton/http'
 *
 * const token = withCors(tokenEndpoint(tokens, { accessTokens, clients }), { origins: ['https://spa.example'] })
 * ```
 */
export function withCors(endpoint: Endpoint, options: CorsOptions): Endpoint {
  const origins = new Set(corsOptions.parse('withCors', options).origins)
  return async (request) => {
    const requestOrigin = soleHeader(request, 'origin')
    // An origin that is not on the list is never repeated in a response.
    const allowed = requestOrigin !== null && origins.has(requestOrigin) ? requestOrigin : null
    if (allowed !== null && isPreflight(request)) return preflightResponse(allowed)
    const { headers, ...response } = await endpoint(request)
    return { ...response, headers: [...headers, ...(allowed === null ? [] : readableBy(allowed)), ['vary', 'Origin']] }
  }
}

function isPreflight({ method, headers }: PlainRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
}

function preflightResponse(allowedOrigin: string): PlainResponse {
  return {
    status: 204,
    headers: [
      ['access-control-allow-origin', allowedOrigin],
      ['access-control-allow-methods', 'POST'],
      ['access-control-allow-headers', REQUEST_HEADERS],
      ['access-control-max-age', PREFLIGHT_SECONDS],
      ['vary', 'Origin'],
    ],
    body: null,
  }
}

function readableBy(allowedOrigin: string): readonly Header[] {
  return [
    ['access-control-allow-origin', allowedOrigin],
    ['access-control-expose-headers', EXPOSED_HEADERS],
  ]
}
