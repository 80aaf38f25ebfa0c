import type { Endpoint, PlainResponse } from './message.js'
import { methodNotAllowed } from './responses.js'

/** Short, because a new key has to be known before it signs; long enough to spare a server that many ask. */
const FRESH_SECONDS = 300
const PREFLIGHT_SECONDS = 86_400

type Header = PlainResponse['headers'][number]

const READABLE_BY_ALL: Header = ['access-control-allow-origin', '*']

/** A preflight request, as browsers send it for a page that adds request headers. The wildcard does not cover Authorization. */
const PREFLIGHT: PlainResponse = {
  status: 204,
  headers: [
    READABLE_BY_ALL,
    ['access-control-allow-methods', 'GET, HEAD'],
    ['access-control-allow-headers', '*, authorization'],
    ['access-control-max-age', String(PREFLIGHT_SECONDS)],
    ['allow', 'GET, HEAD, OPTIONS'],
  ],
  body: null,
}

/**
 * Serves a public document, also to pages of any origin. It has no secrets, and no credentials are read. `document` is
 * called at every request.
 */
export function publicDocument(document: () => object): Endpoint {
  return async ({ method }) => {
    if (method === 'OPTIONS') return PREFLIGHT
    if (method !== 'GET' && method !== 'HEAD') {
      const { headers, ...response } = methodNotAllowed(['GET', 'HEAD', 'OPTIONS'])
      return { ...response, headers: [...headers, READABLE_BY_ALL] }
    }
    const response: PlainResponse = {
      status: 200,
      headers: [
        ['content-type', 'application/json'],
        ['cache-control', `public, max-age=${String(FRESH_SECONDS)}`],
        ['x-content-type-options', 'nosniff'],
        READABLE_BY_ALL,
      ],
      body: JSON.stringify(document()),
    }
    return response
  }
}
