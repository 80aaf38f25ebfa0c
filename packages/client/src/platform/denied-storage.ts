/**
 * Reads a storage. One that the browser denies to the page by policy (`SecurityError`), or does not have, holds no session; any other
 * failure says nothing about what it holds.
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
  return Object.assign(new Error(`there is no ${storage} here`), { name: 'SecurityError' })
}
