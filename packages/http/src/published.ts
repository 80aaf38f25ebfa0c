import type { Endpoint, PlainResponse } from './message.js'
import { methodNotAllowed } from './respond.js'

/** Short, because a new key has to be known before it signs; long enough to spare a server that many ask. */
const FRESH_SECONDS = 300

/**
 * Serves a public document to everybody, pages of any origin included: it holds no secret, and no credential is read. `document` is
 * asked at every request.
 */
export function published(document: () => object): Endpoint {
  return async ({ method }) => {
    if (method !== 'GET' && method !== 'HEAD') return methodNotAllowed(['GET', 'HEAD'])
    const response: PlainResponse = {
      status: 200,
      headers: [
        ['content-type', 'application/json'],
        ['cache-control', `public, max-age=${String(FRESH_SECONDS)}`],
        ['x-content-type-options', 'nosniff'],
        ['access-control-allow-origin', '*'],
      ],
      body: JSON.stringify(document()),
    }
    return response
  }
}
