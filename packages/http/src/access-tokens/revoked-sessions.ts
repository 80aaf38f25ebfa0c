import { ConfigurationError, type RefreshTokens } from '@baton/core'
import {
  declareOptions,
  integer,
  oneOf,
  type OptionsOf,
  type ParsedOptions,
  required,
  rule,
  seconds,
  withDefault,
} from '@baton/core/options'
import { endpointOptions } from '../pipeline/options.js'
import { report } from '../pipeline/report.js'

/** The revoked sessions that a guard knows. `statusOf` reads memory only. */
export interface RevokedSessions {
  /** Returns `unknown` if the list of revoked sessions is not complete and `whenUnavailable` is `reject`. */
  statusOf(sid: string): 'active' | 'revoked' | 'unknown'
  /** Returns the seconds since the list was complete; Infinity before the first time. */
  ageSeconds(): number
  /** Returns the number of revoked sessions in memory. */
  size(): number
  /** Resolves when the list is complete for the first time, or when `close` is called. */
  ready(): Promise<void>
  /** Stops reading. Idempotent. */
  close(): void
}

/** A number of seconds, also a fraction. */
export const interval = (min: number, max: number) =>
  rule<number>(
    `a number of seconds from ${String(min)} to ${String(max)}`,
    (value) => typeof value === 'number' && value >= min && value <= max,
  )

export const revokedSessionsOptions = declareOptions({
  /**
   * The longest lifetime of the access tokens, `lifetimeSeconds` of their issuer: a revoked session is kept in memory for so long. 1 to
   * 86 400.
   */
  maxAccessTokenSeconds: required(seconds({ min: 1, max: 86_400 })),
  /**
   * What a guard does while the list is not complete: at the start, and if no read succeeded for `afterSeconds`. `reject` is a response of
   * 503 with Retry-After, `accept` accepts tokens of sessions that may have been revoked. Known revoked sessions are rejected in any case.
   */
  whenUnavailable: required(oneOf('accept', 'reject')),
  /** The time without a successful read after which the list is not complete. 1 to 3600, default 30. */
  afterSeconds: withDefault(seconds({ min: 1, max: 3600 }), 30),
  /** The largest number of revoked sessions in memory, about 100 bytes each. With more, the list is not complete. Default 1 000 000. */
  maxSessions: withDefault(integer({ min: 1, max: 2 ** 24 }), 1_000_000),
  /** Called with every error of a read, which is repeated. Default: a process warning with the name and code of the error. */
  onError: endpointOptions.fields.onError,
  now: endpointOptions.fields.now,
})

const localRevocationsOptions = revokedSessionsOptions.extend({
  /** How often the store is read for revocations by other instances. From 0.05 to 60 seconds. Default: half a second. */
  pollSeconds: withDefault(interval(0.05, 60), 0.5),
})

export interface RevokedPage {
  readonly sids: readonly string[]
  readonly cursor: string
  readonly hasMore: boolean
}

/** Reads the page that follows a cursor; the first page for null. */
export type ReadRevoked = (cursor: string | null, signal: AbortSignal) => Promise<RevokedPage>

/** The pause after a failed read. */
const RETRY_MS = 500
/**
 * From time to time, the reader continues from a cursor that is at least this old. A store or a server that was replaced by one that lacks
 * its last writes could otherwise hide a revocation.
 */
const OVERLAP_MS = 30_000

/** Two cursors, each from the instant at which the one after it was set. */
interface Overlap {
  readonly at: number
  readonly older: string | null
  readonly newer: string | null
}

/**
 * Keeps the revoked sessions of a source in memory. Starts to read at once, and reads again `pauseMs` after each read; timers do not keep the
 * process alive.
 */
export function followRevoked(
  read: ReadRevoked,
  options: ParsedOptions<typeof revokedSessionsOptions>,
  pauseMs: number,
): RevokedSessions & { readonly add: (sid: string) => void } {
  const { maxAccessTokenSeconds, whenUnavailable, afterSeconds, maxSessions, onError, now } = options
  /** The instant from which on no token of the session is valid, in the order of the instants. */
  const revoked = new Map<string, number>()
  const closing = new AbortController()
  const { signal } = closing
  let cursor: string | null = null
  let overlap: Overlap = { at: now(), older: null, newer: null }
  let completeAt = -Infinity
  /** A session that did not fit into memory may have valid tokens until then. */
  let incompleteUntil = -Infinity
  let timer: ReturnType<typeof setTimeout> | undefined
  let resolveReady: (() => void) | undefined
  const ready = new Promise<void>((resolve) => {
    resolveReady = resolve
  })

  function add(sid: string): void {
    if (revoked.has(sid)) return
    const until = now() + maxAccessTokenSeconds * 1000
    if (revoked.size >= maxSessions) deleteExpired()
    if (revoked.size >= maxSessions) incompleteUntil = until
    else revoked.set(sid, until)
  }

  function deleteExpired(): void {
    const at = now()
    for (const [sid, until] of revoked) {
      if (until > at) return
      revoked.delete(sid)
    }
  }

  async function readAll(): Promise<void> {
    for (let hasMore = true; hasMore && !signal.aborted;) {
      const page = await read(cursor, signal)
      for (const sid of page.sids) add(sid)
      cursor = page.cursor
      hasMore = page.hasMore
    }
    completeAt = now()
    deleteExpired()
    resolveReady?.()
  }

  function rewind(): void {
    const at = now()
    if (at - overlap.at < OVERLAP_MS) return
    const { older, newer } = overlap
    overlap = { at, older: newer, newer: cursor }
    cursor = older
  }

  async function run(): Promise<void> {
    let pause = pauseMs
    try {
      rewind()
      await readAll()
    } catch (error) {
      // The store was replaced by another one: all of the window is read again.
      if (error instanceof ConfigurationError) cursor = null
      if (!signal.aborted) report(error, onError)
      pause = RETRY_MS
    }
    if (signal.aborted) return
    timer = setTimeout(() => void run(), pause)
    timer.unref()
  }

  const isComplete = (at: number) => at - completeAt <= afterSeconds * 1000 && at >= incompleteUntil
  void run()

  return {
    add,
    statusOf(sid) {
      if (revoked.has(sid)) return 'revoked'
      return whenUnavailable === 'accept' || isComplete(now()) ? 'active' : 'unknown'
    },
    ageSeconds: () => (now() - completeAt) / 1000,
    size: () => revoked.size,
    ready: () => ready,
    close() {
      closing.abort()
      clearTimeout(timer)
      resolveReady?.()
    },
  }
}

export type LocalRevocationsOptions = OptionsOf<typeof localRevocationsOptions>

/**
 * The revoked sessions of a store, for the option `revocations` of a guard in a process that has the store. A session that this instance revokes
 * is rejected at once, one that another instance revokes after `pollSeconds`. Requests cause no store call. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { accessTokenGuard, localRevocations } from '@baton/http'
 *
 * const revocations = localRevocations(tokens, { maxAccessTokenSeconds: 900, whenUnavailable: 'reject' })
 * const guard = accessTokenGuard({ accessTokens, revocations })
 * ```
 */
export function localRevocations(
  tokens: Pick<RefreshTokens, 'listRevoked' | 'onRevoked'>,
  options: LocalRevocationsOptions,
): RevokedSessions {
  const resolved = localRevocationsOptions.parse('localRevocations', options)
  const { maxAccessTokenSeconds: maxAgeSeconds } = resolved
  const { add, ...sessions } = followRevoked(
    async (cursor) => {
      const page = await tokens.listRevoked({ maxAgeSeconds, ...(cursor === null ? {} : { cursor }) })
      return { sids: page.items.map(({ id }) => id), cursor: page.cursor, hasMore: page.hasMore }
    },
    resolved,
    resolved.pollSeconds * 1000,
  )
  const removeListener = tokens.onRevoked(add)
  return {
    ...sessions,
    close() {
      removeListener()
      sessions.close()
    },
  }
}
