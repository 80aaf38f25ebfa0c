import { ConfigurationError, OperationalError, type RefreshTokens } from '@baton/core'
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
import { type Transport, transportReader } from './transport.js'
import { report } from './report.js'

/** A request that has passed what every endpoint checks. */
export interface Exchange {
  readonly request: PlainRequest
  readonly transport: Transport
  readonly limits: RateLimits
  /** The request, as its address counts it. */
  readonly counted: CountedRequest
  /** Epoch milliseconds. */
  readonly now: number
}

export interface EndpointDefinition {
  readonly tokens: RefreshTokens
  readonly options: ResolvedEndpointOptions
  readonly methods: readonly string[]
  /**
   * True if `answer` serves requests that prove to be legitimate (`rejectUnproven`) even if their address has no points left.
   * Default false: all requests of such an address are rejected here.
   */
  readonly acceptsProof?: boolean
  readonly answer: (exchange: Exchange) => Promise<PlainResponse>
}

/**
 * Creates an endpoint. Method, transport and the limit per address are checked before `answer` is called. Errors are reported and sent
 * as 500 or 503 in one place.
 */
export function endpoint(definition: EndpointDefinition): Endpoint {
  const { tokens, options, methods, acceptsProof = false, answer } = definition
  const { rateLimit, onError, now } = options
  const transportOf = transportReader(options)
  const limits = limitsOf(tokens, rateLimit)

  async function respond(request: PlainRequest, transport: Transport, counted: CountedRequest): Promise<PlainResponse> {
    const exhausted = acceptsProof ? counted.rejected : counted.exhausted()
    if (exhausted !== null) return tooManyRequests(exhausted)
    try {
      const response = await answer({ request, transport, limits, counted, now: now() })
      const isRejected = response.status >= 400 && response.status < 500
      const unproven = isRejected ? counted.exhausted() : null
      return unproven === null ? response : tooManyRequests(unproven)
    } catch (failure) {
      // An outage is not the caller's fault.
      counted.release()
      throw failure
    }
  }

  return async (request) => {
    try {
      if (!methods.includes(request.method)) return methodNotAllowed(methods)
      const transport = transportOf(request)
      if (!transport.acceptable) return invalidRequest(transport.advice())
      const counted = await limits.countRequest(transport.address, acceptsProof ? 'atOnce' : 'inTurn')
      const response = await respond(request, transport, counted).finally(() => counted.settle())
      // A response of 429 names the limit that is used up.
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
 * Counts the requests of an endpoint of your own under their addresses, in the same buckets as the endpoints over `tokens`: reject a
 * request with `exhausted`, call `release` once it has proved to be legitimate, and `settle` when it ends. Throws `ConfigurationError`.
 */
export function requestCounter(
  tokens: RefreshTokens,
  options: RequestCounterOptions = {},
): (request: PlainRequest) => Promise<CountedRequest> {
  const { rateLimit, ...transport } = requestCounterOptions.parse('requestCounter', options)
  const transportOf = transportReader(transport)
  const limits = limitsOf(tokens, rateLimit)
  return async (request) => limits.countRequest(transportOf(request).address, 'inTurn')
}

function limitsOf(tokens: RefreshTokens, rateLimit: EndpointOptions['rateLimit']): RateLimits {
  return rateLimit === false ? noRateLimits : (rateLimit ?? defaultRateLimits(tokens))
}

/**
 * Rejects a request without proof whose address has no points left, before it causes any work. `hasProof` returns true if the request
 * brings something that only a legitimate caller has; it is called only if there are no points left.
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

/** Throws `ConfigurationError` for a misspelt option, which would otherwise count as left out. */
export function demandKnown(options: object, known: readonly string[], path = ''): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name))
      throw new ConfigurationError(path + name, `is not an option here; known are ${known.join(', ')}`)
  }
}
