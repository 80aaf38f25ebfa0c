import { sharedCalls } from './shared-calls.js'

export interface RemoteDocumentOptions<Content> {
  /** Fetches the document. */
  readonly load: () => Promise<Content>
  /** The document is fetched again after this time. */
  readonly maxAgeMs: number
  /** The minimum time between two requests for the document while there is a usable one. */
  readonly cooldownMs: number
  /** How long the document is used after `maxAgeMs` if it cannot be fetched. */
  readonly maxStaleMs: number
  /** Called with an error that rejects no call, because the previous document is used. */
  readonly onError: (error: unknown) => void
}

/** A cached document of another server. All times are epoch milliseconds. */
export interface RemoteDocument<Content> {
  /** Returns the document. Rejects with the error of `load` if there is none that may be used. */
  current(now: number): Promise<Content>
  /**
   * Returns a document that is newer than `seen`, or null if there is none or if `seen` was fetched a moment ago. Rejects with the error of
   * `load` if it is unknown whether there is a newer document.
   */
  newerThan(seen: Content, now: number): Promise<Content | null>
  /** Returns a value that changes with the document. While the document has to be fetched, every call returns another value. */
  version(now: number): unknown
}

/** Without a document every request fails, so a server that is available again must be noticed soon. */
const RETRY_MS = 1000
/** There is one kind of call. */
const CALL = ''

/** Caches a document of another server. Documents with the same `fingerprint` are equal. */
export function remoteDocument<Content extends { readonly fingerprint: string }>(
  options: RemoteDocumentOptions<Content>,
): RemoteDocument<Content> {
  const { load, maxAgeMs, cooldownMs, maxStaleMs, onError } = options
  const calls = sharedCalls<Content>()
  let loaded: { readonly content: Content; readonly at: number } | null = null
  /** The last attempt, if it failed. */
  let failure: { readonly error: unknown; readonly at: number } | null = null

  const fetchAt = (now: number) =>
    calls.run(CALL, async () => {
      try {
        const next = await load()
        // The same object for equal documents, so that what was derived from it stays valid.
        const content = loaded?.content.fingerprint === next.fingerprint ? loaded.content : next
        loaded = { content, at: now }
        failure = null
        return content
      } catch (error) {
        failure = { error, at: now }
        throw error
      }
    })

  function stateAt(now: number): 'fresh' | 'old' | 'unusable' {
    if (loaded === null) return 'unusable'
    if (isWithin(loaded.at, now, maxAgeMs)) return 'fresh'
    return isWithin(loaded.at, now, maxAgeMs + maxStaleMs) ? 'old' : 'unusable'
  }

  /** One caller fetches an old document again; the others use it and do not wait. */
  function isRefreshed(now: number): boolean {
    return calls.isPending(CALL) || (failure !== null && isWithin(failure.at, now, cooldownMs))
  }

  async function fetchUnlessFailed(now: number): Promise<Content> {
    if (failure !== null && isWithin(failure.at, now, RETRY_MS)) throw failure.error
    return fetchAt(now)
  }

  return {
    async current(now) {
      const [state, held] = [stateAt(now), loaded?.content]
      if (held === undefined || state === 'unusable') return fetchUnlessFailed(now)
      if (state === 'fresh' || isRefreshed(now)) return held
      return fetchAt(now).catch((error: unknown) => {
        onError(error)
        return held
      })
    },
    async newerThan(seen, now) {
      if (loaded !== null && loaded.content !== seen) return loaded.content
      const isCoolingDown = failure === null && loaded !== null && isWithin(loaded.at, now, cooldownMs)
      const content = isCoolingDown ? seen : await fetchUnlessFailed(now)
      return content === seen ? null : content
    },
    version(now) {
      const state = stateAt(now)
      const isDue = state === 'unusable' || (state === 'old' && !isRefreshed(now))
      return isDue ? Symbol('due') : loaded?.content
    },
  }
}

/** A clock that was set back by a moment makes nothing old, and one that was set back by more makes nothing new. */
function isWithin(at: number, now: number, limit: number): boolean {
  return Math.abs(now - at) < limit
}
