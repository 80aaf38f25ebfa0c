import { callObserver, describeFailure, OperationalError, ConfigurationError, type RefreshTokens } from '@baton/core'
import {
  type CountedRequest,
  type Endpoint,
  csrfGuard,
  type PlainRequest,
  type PlainResponse,
  type RateLimits,
  readJson,
  requestCounter,
  type TransportOptions,
} from '@baton/http'
import { type ConsoleAction, createActions } from './actions.js'
import type { EventLog } from './event-log.js'
import { pageResponse } from './page.js'
import { answer, refusal } from './respond.js'

export interface ConsoleOptions extends TransportOptions {
  /**
   * Says who is asking: the operator's name, or null for nobody. Asked before every answer, the page's own included. Whoever it lets
   * in sees every subject and ends every session.
   */
  readonly authorize: (request: PlainRequest) => string | null | Promise<string | null>
  /** The log to which `onEvent` tells everything: `memoryEventLog()`, or one of your own. */
  readonly log: EventLog
  /** Called after each revocation and not awaited. If it fails, `onError` is called; the response to the operator is the same. */
  readonly onAction?: (action: ConsoleAction) => unknown
  /** Told of every error that was answered with 500 or 503. Default: a process warning with the error's name. */
  readonly onError?: (error: unknown) => unknown
  /**
   * As at the endpoints of `@baton/http`: a request that `authorize` rejects costs its address a point. Default: the limits that the
   * endpoints over `tokens` share.
   */
  readonly rateLimit?: RateLimits | false
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

const KNOWN = ['authorize', 'log', 'onAction', 'onError', 'now', 'rateLimit', 'trustProxy', 'publicUrl']

/**
 * A page on which operators find a subject, see its sessions and what became of each, and end one or all. One endpoint for one
 * address: `GET` is the page, `POST` what it asks. Closed unless `authorize` says who is asking; never rejects. Throws `ConfigurationError`.
 */
export function consoleEndpoint(tokens: RefreshTokens, options: ConsoleOptions): Endpoint {
  demandOptions(options)
  const { authorize, onAction = () => undefined, onError = warn, now = Date.now } = options
  const { rateLimit, trustProxy, publicUrl } = options
  const transport = {
    ...(trustProxy === undefined ? {} : { trustProxy }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
  }
  const refusedBecause = csrfGuard(transport)
  const count = requestCounter(tokens, { ...transport, ...(rateLimit === undefined ? {} : { rateLimit }) })
  const act = createActions(tokens, {
    log: options.log,
    now,
    observe: (action) =>
      callObserver(
        () => onAction(action),
        (failure) => report(failure, onError),
      ),
  })

  /** Null for a request that `authorize` rejects, which costs its address a point. */
  async function operatorOf(request: PlainRequest, counted: CountedRequest): Promise<string | null> {
    let operator: unknown
    try {
      operator = await authorize(request)
    } catch (failure) {
      // An outage is not the caller's fault.
      counted.release()
      throw failure
    }
    if (typeof operator !== 'string' || operator === '') return null
    counted.release()
    return operator
  }

  async function run(request: PlainRequest): Promise<PlainResponse> {
    if (request.method !== 'GET' && request.method !== 'POST')
      return refusal(405, 'Use GET or POST.', [['allow', 'GET, POST']])
    const counted = await count(request)
    const exhausted = counted.exhausted()
    if (exhausted !== null) {
      counted.settle()
      const seconds = Math.max(1, Math.ceil(exhausted.resetSeconds))
      return refusal(429, 'Too many requests; try again later.', [['retry-after', String(seconds)]])
    }
    const operator = await operatorOf(request, counted).finally(() => counted.settle())
    if (operator === null) return refusal(403, 'You may not see this.')
    if (request.method === 'GET') return pageResponse()
    const refused = refusedBecause(request)
    if (refused !== null) return refused
    const body = await readJson(request)
    return body.ok ? answer(await act(operator, body.members)) : body.response
  }

  return async (request) => {
    try {
      return await run(request)
    } catch (error) {
      report(error, onError)
      return error instanceof OperationalError
        ? refusal(503, 'Something that is needed does not answer. Try again in a moment.', [['retry-after', '1']])
        : refusal(500, 'Something went wrong here.')
    }
  }
}

function demandOptions(options: Partial<ConsoleOptions> | null | undefined): void {
  if (typeof options !== 'object' || options === null)
    throw new ConfigurationError('console', 'give { authorize, log }')
  for (const name of Object.keys(options)) {
    if (!KNOWN.includes(name))
      throw new ConfigurationError(name, `is not an option here; known are ${KNOWN.join(', ')}`)
  }
  if (typeof options.authorize !== 'function')
    throw new ConfigurationError(
      'authorize',
      'is missing: give a function that says which operator makes a request, or null',
    )
  if (typeof options.log?.record !== 'function')
    throw new ConfigurationError('log', 'is missing: give memoryEventLog(), and its record to onEvent')
}

/** Calls `onError`. If it fails, a process warning tells of the original error. */
function report(error: unknown, onError: (error: unknown) => unknown): void {
  callObserver(
    () => onError(error),
    () => warn(error),
  )
}

function warn(error: unknown): void {
  process.emitWarning(`the console failed: ${describeFailure(error)}`, 'BatonWarning')
}
