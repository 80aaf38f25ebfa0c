/**
 * Calls an application callback that only observes, such as a listener of a session. Whatever the callback throws or returns, this
 * function returns at once and never throws: `onFailure` is called with what the callback threw, or with what its promise or
 * thenable rejected with. What `onFailure` itself throws is discarded.
 *
 * The same function as in `@baton/core`, which needs Node and is no dependency of the client.
 */
export function callObserver(callback: () => unknown, onFailure: (failure: unknown) => void): void {
  const fail = (failure: unknown): void => {
    try {
      onFailure(failure)
    } catch {
      // Nothing is left that could be told.
    }
  }
  try {
    const returned = callback()
    try {
      // First, because a promise of any realm stays unhandled when only a `then` of its own is called. Throws for all other values.
      void Promise.prototype.then.call(returned, undefined, fail)
    } catch {
      new Promise((resolve) => resolve(returned)).catch(fail)
    }
  } catch (failure) {
    fail(failure)
  }
}
