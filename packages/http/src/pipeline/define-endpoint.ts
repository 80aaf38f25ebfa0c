import { OperationalError, type RefreshTokens } from '@baton/core'
import type { OptionsOf } from '@baton/core/options'
import type { Endpoint, PlainRequest, PlainResponse } from '../messages/message.js'
import { type EndpointOptions, endpointOptions, type ResolvedEndpointOptions, transportOptions } from './options.js'
import { type CountedRequest, defaultRateLimits, noRateLimits, type RateLimits } from '../rate-limits/rate-limits.js'
import {
  invalidRequest,
  methodNotAllowed,
  rateLimitFields,
  serverError,
  tooManyRequests,
  unavailable,
} from '../messages/responses.js'
import { type Transport, createTransportReader } from './transport.js'
import { report } from './report.js'

/** A request that has passed what every endpoint checks. */
export interface Exchange {
  readonly request: PlainRequest
  readonly transport: Transport
  readonly limits: RateLimits
  /** The count of this request under its address. */
  readonly counted: CountedRequest
  /** Epoch milliseconds. */
  readonly now: number
}

export interface EndpointDefinition {
  readonly tokens: RefreshTokens
  readonly options: ResolvedEndpointOptions
  readonly methods: readonly string[]
  /**
   * True if `respond` serves requests with proof (`rejectUnproven`) even if their address has no points left. Default false: all
   * requests of such an address are rejected before `respond` is called.
   */
  readonly acceptsProof?: boolean
  readonly respond: (exchange: Exchange) => Promise<PlainResponse>
}

/**
 * Creates an endpoint. Method, transport and the limit per address are checked before `respond` is called. Errors are reported and sent
 * as 500 or 503 in one place.
 */
export function defineEndpoint(definition: EndpointDefinition): Endpoint {
  const { tokens, options, methods, acceptsProof = false, respond } = definition
  const { rateLimit, onError, now } = options
  const transportOf = createTransportReader(options)
  const limits = limitsOf(tokens, rateLimit)

  async function respondWithinLimits(
    request: PlainRequest,
    transport: Transport,
    counted: CountedRequest,
  ): Promise<PlainResponse> {
    const exhausted = acceptsProof ? counted.rejected : counted.exhausted()
    if (exhausted !== null) return tooManyRequests(exhausted)
    try {
      const response = await respond({ request, transport, limits, counted, now: now() })
      const isRejected = response.status >= 400 && response.status < 500
      const unproven = isRejected ? counted.exhausted() : null
      return unproven === null ? response : tooManyRequests(unproven)
    } catch (failure) {
      // The caller did not cause the outage.
      counted.release()
      throw failure
    }
  }

  return async (request) => {
    try {
      if (!methods.includes(request.method)) return methodNotAllowed(methods)
      const transport = transportOf(request)
      if (!transport.acceptable) return invalidRequest(transport.advice())
      const counted = await limits.countRequest(transport.address, acceptsProof ? 'immediate' : 'wait')
      const response = await respondWithinLimits(request, transport, counted).finally(() => counted.settle())
      // A response of 429 has the fields of the exhausted limit already.
      if (!limits.standardHeaders || response.status === 429) return response
      return { ...response, headers: [...response.headers, ...rateLimitFields(counted.standing())] }
    } catch (failure) {
      report(failure, onError)
      return failure instanceof OperationalError ? unavailable() : serverError()
    }
  }
}

export const requestCounterOptions = transportOptions.extend({ rateLimit: endpointOptions.fields.rateLimit })

export type RequestCounterOptions = OptionsOf<typeof requestCounterOptions>

/**
 * Creates a function that counts the requests of your own endpoint under their addresses, in the same buckets as the endpoints over
 * `tokens`. Reject a request if `exhausted` returns a limit, call `release` once the request has proved to be legitimate, and `settle`
 * when it ends. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { type PlainRequest, requestCounter } from '@baton/http'
 *
 * const countRequest = requestCounter(tokens)
 *
 * async function isAcceptable(request: PlainRequest) {
 *   const counted = await countRequest(request)
 *   await counted.settle()
 *   return counted.exhausted() === null
 * }
 * ```
 */
export function requestCounter(
  tokens: RefreshTokens,
  options: RequestCounterOptions = {},
): (request: PlainRequest) => Promise<CountedRequest> {
  const { rateLimit, ...transport } = requestCounterOptions.parse('requestCounter', options)
  const transportOf = createTransportReader(transport)
  const limits = limitsOf(tokens, rateLimit)
  return async (request) => limits.countRequest(transportOf(request).address, 'wait')
}

function limitsOf(tokens: RefreshTokens, rateLimit: EndpointOptions['rateLimit']): RateLimits {
  return rateLimit === false ? noRateLimits : (rateLimit ?? defaultRateLimits(tokens))
}

/**
 * Rejects a request without proof whose address has no points left, before it causes any work. `hasProof` returns true if the request
 * contains something that only a legitimate caller has. It is called only if there are no points left.
 */
export async function rejectUnproven(
  { counted }: Exchange,
  hasProof: () => boolean | Promise<boolean>,
): Promise<PlainResponse | null> {
  const exhausted = counted.exhausted()
  if (exhausted === null) return null
  if (!(await hasProof())) return tooManyRequests(exhausted)
  counted.admit()
  return null
}
