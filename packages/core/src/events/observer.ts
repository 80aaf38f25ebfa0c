/**
 * Calls an application callback that only observes, such as `onEvent` and `onError`. Whatever the callback throws or returns, this
 * function returns at once and never throws: `onFailure` is called with what the callback threw, or with what its promise or
 * thenable rejected with. What `onFailure` itself throws is discarded.
 *
 * Every package calls observing callbacks through this function; an unhandled rejection would end the process.
 *
 * @example
 * ```ts
 * import { callObserver, describeFailure } from '@baton/core'
 *
 * declare const onBlocked: (subject: string) => unknown
 *
 * callObserver(
 *   () => onBlocked('user-1'),
 *   (failure) => process.emitWarning(`onBlocked failed: ${describeFailure(failure)}`),
 * )
 * ```
 */
export function callObserver(callback: () => unknown, onFailure: (failure: unknown) => void): void {
  const fail = (failure: unknown): void => {
    try {
      onFailure(failure)
    } catch {
      // There is no other callback to report it to.
    }
  }
  try {
    const returned = callback()
    if (isObject(returned)) settle(returned, fail)
  } catch (failure) {
    fail(failure)
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

function settle(returned: object, fail: (failure: unknown) => void): void {
  try {
    // First, because a promise of any realm stays unhandled if only its own `then` is called. Throws for other objects.
    void Promise.prototype.then.call(returned, undefined, fail)
  } catch {
    new Promise((resolve) => resolve(returned)).catch(fail)
  }
}

/**
 * Describes an error for a process warning, by its name and code only: a message may quote what must not be logged. Never throws,
 * also for values whose members cannot be read.
 *
 * @example
 * ```ts
 * import { describeFailure } from '@baton/core'
 *
 * console.warn(describeFailure(new TypeError('the value may be secret'))) // TypeError
 * ```
 */
export function describeFailure(failure: unknown): string {
  try {
    if (!(failure instanceof Error)) return typeof failure
    const code =
      'code' in failure && (typeof failure.code === 'string' || typeof failure.code === 'number')
        ? ` (${failure.code})`
        : ''
    return `${failure.name}${code}`
  } catch {
    return 'an error that cannot be read'
  }
}
