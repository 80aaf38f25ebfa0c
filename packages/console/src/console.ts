import { callObserver, describeFailure, OperationalError, type RefreshTokens } from '@baton/core'
import { func, objectWith, type OptionsOf, required, withDefault } from '@baton/core/options'
import {
  type CountedRequest,
  type Endpoint,
  csrfGuard,
  endpointOptions,
  type PlainRequest,
  type PlainResponse,
  readJson,
  requestCounter,
} from '@baton/http'
import { type ConsoleAction, createActions } from './actions.js'
import type { EventLog } from './event-log.js'
import { pageResponse } from './page.js'
import { answer, refusal } from './respond.js'

const consoleOptions = endpointOptions.extend({
  /**
   * Returns the name of the operator who sent the request, or null for any other user. Called before every response, including the page.
   * An operator sees every subject and can end every session.
   */
  authorize: required(func<(request: PlainRequest) => string | null | Promise<string | null>>()),
  /** The log that `onEvent` fills: `memoryEventLog()`, or your own. */
  log: required(
    objectWith<EventLog>(
      ['record', 'eventsOf', 'familiesOf', 'counts'],
      'an event log, such as memoryEventLog()',
      'pass its record to onEvent',
    ),
  ),
  /**
   * Called after each revocation with `{ operator, at, action, subject, familyId }`, for an audit log. Not awaited. If it fails, `onError` is called; the response to the
   * operator is the same.
   */
  onAction: withDefault(func<(action: ConsoleAction) => unknown>(), () => undefined),
  /** Called with every error that is sent as a response of 500 or 503. Default: a process warning with the name of the error. */
  onError: withDefault(func<(error: unknown) => unknown>(), warn),
})

export type ConsoleOptions = OptionsOf<typeof consoleOptions>

/**
 * Creates the endpoint of a page on which operators find a subject, see its sessions with their history, and end one or all. One endpoint
 * for one address: `GET` returns the page, `POST` runs its actions. Rejects every request unless `authorize` returns a name; the
 * endpoint itself never rejects. Throws `ConfigurationError` for unknown, missing or invalid options.
 *
 * @example
 * ```ts
 * import { createRefreshTokens } from '@baton/core'
 * import { consoleEndpoint, memoryEventLog } from '@baton/console'
 * import type { PlainRequest } from '@baton/http'
 * import { memoryStore } from '@baton/store-memory'
 *
 * // Your own check: the name of the operator whose session the cookie contains, or null.
 * declare function findOperator(request: PlainRequest): Promise<string | null>
 *
 * const log = memoryEventLog()
 * const tokens = createRefreshTokens({ store: memoryStore(), secrets: ['a secret of at least thirty-two bytes'], onEvent: log.record })
 * const endpoint = consoleEndpoint(tokens, {
 *   log,
 *   authorize: findOperator,
 * })
 * ```
 */
export function consoleEndpoint(tokens: RefreshTokens, options: ConsoleOptions): Endpoint {
  const { authorize, log, onAction, onError, now, rateLimit, trustProxy, publicUrl } = consoleOptions.parse(
    'consoleEndpoint',
    options,
  )
  const rejectCsrf = csrfGuard({ trustProxy, publicUrl })
  const count = requestCounter(tokens, { trustProxy, publicUrl, rateLimit })
  const act = createActions(tokens, {
    log,
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
      // An outage costs no point.
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
    const rejection = rejectCsrf(request)
    if (rejection !== null) return rejection
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
