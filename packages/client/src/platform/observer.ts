/**
 * Calls an application callback that only observes, such as a listener of a session. Returns immediately and never throws: `onFailure`
 * receives what the callback threw, or what its promise or thenable rejected with. Errors of `onFailure` are ignored.
 *
 * The same function exists in `@baton/core`, which needs Node.js and is not a dependency of the client.
 */
export function callObserver(callback: () => unknown, onFailure: (failure: unknown) => void): void {
  const fail = (failure: unknown): void => {
    try {
      onFailure(failure)
    } catch {
      // There is no other way to report it.
    }
  }
  try {
    const returned = callback()
    try {
      // First, because a promise of another realm stays unhandled if only its own `then` is called. Throws for all other values.
      void Promise.prototype.then.call(returned, undefined, fail)
    } catch {
      new Promise((resolve) => resolve(returned)).catch(fail)
    }
  } catch (failure) {
    fail(failure)
  }
}
