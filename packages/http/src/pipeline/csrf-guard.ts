import { rejectForged } from './csrf.js'
import type { PlainRequest, PlainResponse } from '../messages/message.js'
import { type TransportOptions, transportOptions } from './options.js'
import { invalidRequest } from '../messages/responses.js'
import { createTransportReader } from './transport.js'

/**
 * Creates a check for your own endpoints that a cookie authenticates. It returns the response that rejects a request over http from
 * another machine, or one that no page of this origin has sent with the header `X-Baton: 1`; null for all other requests. Throws
 * `ConfigurationError`.
 *
 * @example
 * ```ts
 * const rejectCsrf = csrfGuard()
 * const rejection = rejectCsrf(readNodeRequest(request))
 * if (rejection !== null) return writeNodeResponse(response, rejection)
 * ```
 */
export function csrfGuard(options: TransportOptions = {}): (request: PlainRequest) => PlainResponse | null {
  const readTransport = createTransportReader(transportOptions.parse('csrfGuard', options))
  return (request) => {
    const transport = readTransport(request)
    if (!transport.acceptable) return invalidRequest(transport.advice())
    return rejectForged(request, { transport, allowedOrigins: new Set() })
  }
}
