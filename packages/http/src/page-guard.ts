import { demandKnown } from './endpoint.js'
import { rejectForged } from './csrf.js'
import type { PlainRequest, PlainResponse } from './message.js'
import type { TransportOptions } from './options.js'
import { invalidRequest } from './respond.js'
import { transportReader } from './transport.js'

/**
 * For an endpoint of your own that acts for whoever a cookie names: the refusal of a request that came over plain http from another
 * machine, or that no page of this origin has made with `X-Baton: 1`; null for one that may go on. Throws `ConfigurationError` for bad options.
 */
export function pageGuard(options: TransportOptions = {}): (request: PlainRequest) => PlainResponse | null {
  demandKnown(options, ['trustProxy', 'publicUrl'])
  const transportOf = transportReader(options)
  return (request) => {
    const transport = transportOf(request)
    if (!transport.acceptable) return invalidRequest(transport.advice())
    return rejectForged(request, { transport, allowedOrigins: new Set() })
  }
}
