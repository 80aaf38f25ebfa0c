import { Fault, MisuseError, type RefreshTokens } from '@baton/core'
import type { Endpoint, PlainRequest, PlainResponse } from './message.js'
import type { EndpointOptions } from './options.js'
import { defaultRateLimits, noRateLimits, type RateLimits } from './rate-limit.js'
import {
  invalidRequest,
  methodNotAllowed,
  rateLimitFields,
  serverError,
  tooManyRequests,
  unavailable,
} from './respond.js'
import { type Transport, transportReader } from './transport.js'
import { report, warn } from './warn.js'

/** A request that has passed what every endpoint checks. */
export interface Exchange {
  readonly request: PlainRequest
  readonly transport: Transport
  readonly limits: RateLimits
  /** Epoch milliseconds. */
  readonly now: number
}

export interface EndpointDefinition {
  readonly tokens: RefreshTokens
  /** As the app gave them, checked here. */
  readonly options: EndpointOptions
  /** Options of this endpoint besides those of every endpoint. */
  readonly ownOptions: readonly string[]
  readonly methods: readonly string[]
  /** False where one address asks for many people: its secret is checked, and failures are counted. Default true. */
  readonly countsAddresses?: boolean
  readonly answer: (exchange: Exchange) => Promise<PlainResponse>
}

const KNOWN = ['rateLimit', 'trustProxy', 'publicUrl', 'onError', 'now']

/**
 * What all endpoints have in common: method, transport and the limit per address come before their own business, and whatever
 * breaks in it is answered once. Throws `MisuseError` for bad options.
 */
export function endpoint(definition: EndpointDefinition): Endpoint {
  const { tokens, options, ownOptions, methods, countsAddresses = true, answer } = definition
  const { rateLimit, onError = warn, now = Date.now } = options
  demandKnown(options, [...ownOptions, ...KNOWN])
  const transportOf = transportReader(options)
  const limits = rateLimit === false ? noRateLimits : (rateLimit ?? defaultRateLimits(tokens))

  return async (request) => {
    try {
      if (!methods.includes(request.method)) return methodNotAllowed(methods)
      const transport = transportOf(request)
      if (!transport.acceptable) return invalidRequest('Use https; behind a proxy, set trustProxy.')
      const counted = countsAddresses ? await limits.forAddress(transport.address) : null
      if (counted?.isTooMany === true) return tooManyRequests(counted.standing)
      const response = await answer({ request, transport, limits, now: now() })
      // A limit that refused it has said so.
      if (!limits.announces || counted === null || response.status === 429) return response
      return { ...response, headers: [...response.headers, ...rateLimitFields(counted.standing)] }
    } catch (failure) {
      report(failure, onError)
      return failure instanceof Fault ? unavailable() : serverError()
    }
  }
}

/** Throws `MisuseError` for a misspelt option, which would otherwise count as left out. */
export function demandKnown(options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw new MisuseError(name, `is not an option here; known are ${known.join(', ')}`)
  }
}
