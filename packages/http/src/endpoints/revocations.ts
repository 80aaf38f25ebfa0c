import { ConfigurationError, type RefreshTokens, type RevocationPage } from '@baton/core'
import { objectWith, optional, type OptionsOf, seconds, withDefault } from '@baton/core/options'
import { interval } from '../access-tokens/revoked-sessions.js'
import { clientAuthenticator, clientOptions } from '../clients/authenticate.js'
import type { Form } from '../messages/form.js'
import { type Endpoint, getQuery, type PlainResponse, soleHeader } from '../messages/message.js'
import { error, invalidClient, invalidRequest, json, notModified } from '../messages/responses.js'
import { defineEndpoint } from '../pipeline/define-endpoint.js'
import { endpointOptions } from '../pipeline/options.js'

export const revocationsOptions = endpointOptions.extend({
  ...clientOptions.fields,
  /** How often the store is read while requests wait for a revocation, once for all of them. From 0.05 to 60 seconds. Default: a quarter of a second. */
  pollSeconds: withDefault(interval(0.05, 60), 0.25),
  /** The longest time that a request waits for a revocation. 0 to 60, default 15. */
  maxWaitSeconds: withDefault(seconds({ min: 0, max: 60 }), 15),
  /** Ends the requests that wait, when it is aborted: abort it before you close the server. */
  shutdown: optional(objectWith<AbortSignal>(['addEventListener'], 'an AbortSignal')),
})

export type RevocationsOptions = OptionsOf<typeof revocationsOptions>

/**
 * Serves the sessions that were revoked to resource servers: the clients with `introspectionAudiences`, which authenticate by secret or
 * certificate. `GET ?since=cursor&wait=seconds` returns `{ "revoked": [{ "sid", "revoked_at" }], "cursor", "has_more" }`, oldest first. `wait` is the
 * time to wait for a revocation if there is none; `max_age`, without `since`, the age in seconds of the oldest one. A cursor that is not
 * valid, such as one of another store, begins again. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { revocationsEndpoint } from '@baton/http'
 *
 * const revocations = revocationsEndpoint(tokens, { clients })
 * ```
 */
export function revocationsEndpoint(tokens: RefreshTokens, options: RevocationsOptions): Endpoint {
  const resolved = revocationsOptions.parse('revocationsEndpoint', options)
  const authenticate = clientAuthenticator(tokens, resolved)
  const { maxWaitSeconds, shutdown } = resolved
  const news = watchRevocations(tokens, resolved.pollSeconds * 1000)

  async function read(cursor: string | null, maxAgeSeconds?: number): Promise<RevocationPage> {
    const first = () => tokens.listRevoked(maxAgeSeconds === undefined ? {} : { maxAgeSeconds })
    if (cursor === null || cursor === '') return first()
    try {
      return await tokens.listRevoked({ cursor })
    } catch (failure) {
      if (failure instanceof ConfigurationError) return first()
      throw failure
    }
  }

  /** Reads the next page with items; an empty one after `waitMs`. */
  async function readNext(query: Query): Promise<RevocationPage> {
    const waiting = timeLimit(query.waitSeconds * 1000, shutdown)
    try {
      for (let cursor = query.since; ;) {
        const version = news.version()
        const page = await read(cursor, query.maxAgeSeconds)
        if (page.items.length > 0 || (!page.hasMore && waiting.signal.aborted)) return page
        cursor = page.cursor
        if (!page.hasMore) await news.after(version, cursor, waiting.signal)
      }
    } finally {
      waiting.end()
    }
  }

  return defineEndpoint({
    tokens,
    options: resolved,
    methods: ['GET'],
    acceptsProof: true,
    async respond(exchange) {
      const { request } = exchange
      const query = parseQuery(getQuery(request), maxWaitSeconds)
      const authentication = await authenticate(exchange, formOf(getQuery(request)))
      if (!authentication.ok)
        return request.headers['authorization'] === undefined ? invalidClient('header') : authentication.response
      if (!authentication.confidential) return invalidClient('header')
      if ((authentication.client.introspectionAudiences ?? []).length === 0)
        return error('access_denied', { description: 'The client is no resource server.' })
      if (query === null) return invalidRequest('wait and max_age must be whole numbers of seconds.')
      return toResponse(await readNext(query), query.since, soleHeader(request, 'if-none-match'))
    },
  })
}

interface Query {
  readonly since: string | null
  readonly waitSeconds: number
  readonly maxAgeSeconds?: number
}

/** Returns null for an invalid query. */
function parseQuery(query: URLSearchParams, maxWaitSeconds: number): Query | null {
  const [wait, maxAge] = [query.get('wait') ?? '0', query.get('max_age') ?? '86400']
  if (!/^\d{1,6}$/.test(wait) || !/^\d{1,6}$/.test(maxAge)) return null
  return {
    since: query.get('since'),
    waitSeconds: Math.min(Number(wait), maxWaitSeconds),
    maxAgeSeconds: Math.min(Math.max(1, Number(maxAge)), 86_400),
  }
}

/** Only the id of the client may be in the query: secrets and assertions in a URL would be logged. */
function formOf(query: URLSearchParams): Form {
  const get = (name: string) => (name === 'client_id' ? query.get(name) : null)
  return { get, all: (name) => (get(name) === null ? [] : [get(name) ?? '']) }
}

function toResponse(page: RevocationPage, since: string | null, ifNoneMatch: string | null): PlainResponse {
  const isUnchanged = page.items.length === 0 && since !== null && ifNoneMatch === `"${since}"`
  if (isUnchanged) return notModified([['etag', `"${since}"`]])
  const body = {
    revoked: page.items.map(({ id, revokedAt }) => ({ sid: id, revoked_at: revokedAt })),
    cursor: page.cursor,
    has_more: page.hasMore,
  }
  return json(200, body, [['etag', `"${page.cursor}"`]])
}

/** A signal that is aborted after a time, or with another signal. */
function timeLimit(ms: number, other: AbortSignal | undefined) {
  const controller = new AbortController()
  const abort = () => {
    controller.abort()
  }
  const timer = setTimeout(abort, ms)
  timer.unref()
  if (ms === 0 || other?.aborted === true) abort()
  other?.addEventListener('abort', abort, { once: true })
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer)
      other?.removeEventListener('abort', abort)
    },
  }
}

/** Reads the store for all requests that wait, while any waits. */
function watchRevocations(tokens: RefreshTokens, pollMs: number) {
  const waiting = new Set<() => void>()
  let version = 0
  let cursor: string | null = null
  let timer: ReturnType<typeof setTimeout> | undefined

  function wake(): void {
    version += 1
    for (const resume of [...waiting]) resume()
  }

  async function poll(): Promise<void> {
    try {
      const page = await tokens.listRevoked(cursor === null ? {} : { cursor })
      cursor = page.cursor
      if (page.items.length > 0 || page.hasMore) wake()
    } catch {
      // The requests read the store themselves, and report the error.
      cursor = null
      wake()
    }
    schedule()
  }

  function schedule(): void {
    clearTimeout(timer)
    timer = undefined
    if (waiting.size === 0) return
    timer = setTimeout(() => void poll(), pollMs)
    timer.unref()
  }

  return {
    version: () => version,

    /** Resolves when there may be news since `known`, which the caller read before it read the store up to `from`, or when aborted. */
    after(known: number, from: string, signal: AbortSignal): Promise<void> {
      if (version !== known || signal.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        const resume = () => {
          waiting.delete(resume)
          signal.removeEventListener('abort', resume)
          resolve()
        }
        // Where no request waits, the store was not read since.
        if (timer === undefined) cursor = from
        waiting.add(resume)
        signal.addEventListener('abort', resume)
        if (timer === undefined) schedule()
      })
    },
  }
}
