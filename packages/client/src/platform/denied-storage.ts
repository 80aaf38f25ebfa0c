/**
 * Reads a storage. A storage that the browser denies by policy (`SecurityError`) or does not have contains no session. Other errors are
 * thrown: the content is unknown.
 */
export async function readUnlessDenied(read: () => Promise<string | null>): Promise<string | null> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof Error && error.name === 'SecurityError') return null
    throw error
  }
}

export function createUnavailableError(storage: string): Error {
  return Object.assign(new Error(`${storage} is not available`), { name: 'SecurityError' })
}
