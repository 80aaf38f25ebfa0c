import { callObserver, describeFailure } from '@baton/core'

/** Emits a process warning with the name and code of an error only: its message may quote what must not be logged. */
export function warn(error: unknown): void {
  process.emitWarning(`an endpoint failed with ${describeFailure(error)}; pass onError to see it`, 'BatonWarning')
}

/** Calls `onError`. If it fails, a process warning names the original error. */
export function report(error: unknown, onError: (error: unknown) => unknown): void {
  callObserver(
    () => onError(error),
    () => warn(error),
  )
}
