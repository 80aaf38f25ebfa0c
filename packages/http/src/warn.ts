/** Reports an error by its name and code only: a message may quote what must not be logged. */
export function warn(error: unknown): void {
  const name = error instanceof Error ? error.name : typeof error
  const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
  process.emitWarning(`an endpoint failed with ${name}${code}; pass onError to see it`, 'BatonWarning')
}

/** Tells `onError`, and survives it. */
export function report(failure: unknown, onError: (error: unknown) => void): void {
  try {
    onError(failure)
  } catch {
    warn(failure)
  }
}
