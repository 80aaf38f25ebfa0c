import { rejectForgedRequest } from './csrf.js'
import type { PlainRequest, PlainResponse } from '../messages/message.js'
import { type TransportOptions, transportOptions } from './options.js'
import { invalidRequest } from '../messages/responses.js'
import { createTransportReader } from './transport.js'

/**
 * Creates a check for your own endpoints that are authenticated by a cookie. The check returns the response that rejects the request, or
 * null. It rejects a request that came over http from another machine, and a request that was not sent by a page of this origin with the
 * header `X-Baton: 1`. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { csrfGuard, readNodeRequest, writeNodeResponse } from '@baton/http'
 * import { createServer } from 'node:http'
 *
 * const rejectCsrf = csrfGuard()
 * createServer((request, response) => {
 *   const rejection = rejectCsrf(readNodeRequest(request))
 *   if (rejection === null) response.end('saved')
 *   else writeNodeResponse(response, rejection)
 * })
 * ```
 */
export function csrfGuard(options: TransportOptions = {}): (request: PlainRequest) => PlainResponse | null {
  const readTransport = createTransportReader(transportOptions.parse('csrfGuard', options))
  return (request) => {
    const transport = readTransport(request)
    if (!transport.acceptable) return invalidRequest(transport.advice())
    return rejectForgedRequest(request, { transport, allowedOrigins: new Set() })
  }
}
