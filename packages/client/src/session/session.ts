import type { TokenResult } from '../protocol/token-response.js'
import type { Endpoints } from './connection.js'
import { createEnvironment, type Environment } from '../platform/environment.js'
import { ConfigurationError, SessionError } from '../platform/errors.js'
import { createEmitter, type SessionEvent, type SessionListener } from '../platform/events.js'
import { type AuthorizedFetch, createAuthorizedFetch } from './authorized-fetch.js'
import { createTokenManager } from './token-manager.js'
import type { SessionSnapshot } from './token-state.js'
import { unlessAborted } from '../platform/lock.js'
import { checkOptions, type Rule } from '../platform/options.js'
import type { Proofs } from '../protocol/proofs.js'
import { type SessionMembers, type LiveSession, toSuccessor } from './record.js'
import type { SessionContext } from './context.js'
import { memoryStorage, type SessionStorage } from '../platform/storage.js'
import { captureStart, randomText } from '../platform/timing.js'
import { createRecordStore } from './record-store.js'

export interface SessionOptions {
  /** `oauthEndpoints()` of `@baton/client/oauth`, or `cookieEndpoints()` of `@baton/client/cookie`. */
  readonly endpoints: Endpoints
  /**
   * Stores the session. All users of one storage share the session. `indexedDbStorage()`, `webStorage()`, `sessionFile(path)`, or your own:
   * `read`, `swap` and `lock`. Default `memoryStorage()`.
   */
  readonly storage?: SessionStorage
  /**
   * The http(s) origins to which `session.fetch` sends the access token. Default: the origin of the page, otherwise that of the server. In
   * app shells such as `capacitor://localhost` the default is the server's origin.
   */
  readonly allowedOrigins?: readonly string[]
  /** Binds all tokens to a key: `dpop()` of `@baton/client/dpop`. */
  readonly dpop?: Proofs
  /** How long to wait while another tab or process refreshes, in seconds, at most 600. Sleep does not count. Default 15. */
  readonly lockTimeoutSeconds?: number
  /** How long to wait for one response, in seconds, at most 600. Sleep does not count. Default 10. */
  readonly requestTimeoutSeconds?: number
  /** Clocks, timers, randomness, network and page events. For tests only. */
  readonly environment?: Environment
}

/** The members of a token response (RFC 6749 section 5.1), not validated. */
export type TokenResponse = Readonly<Record<string, unknown>>

/** Keeps a user signed in. Only a sign-out or a rejection by the server ends a session. After other errors the requests are repeated. */
export interface Session {
  /**
   * Calls `fetch` with the access token, for allowed origins only. After a 401 it refreshes and repeats the request once; a second 401 is
   * returned. Rejects with a `SessionError` if there is no token, otherwise like `fetch`.
   */
  readonly fetch: AuthorizedFetch
  /**
   * Returns a valid access token, after a refresh if necessary. Rejects with a `SessionError`. The signal aborts the wait, not the refresh.
   */
  getAccessToken(options?: { readonly signal?: AbortSignal }): Promise<string>
  /**
   * Signs in with a token response. In cookie mode, pass the function that sends the request instead of the response: no other request that
   * sets the cookie is sent in the meantime. Pass its signal to `fetch`; it aborts after 60 seconds. The previous session is ended. Rejects
   * with a `SessionError`.
   */
  login(answer: TokenResponse | ((signal: AbortSignal) => Promise<unknown>)): Promise<void>
  /**
   * Sends another grant (RFC 6749 section 4) to the token endpoint and signs in with the response. For an authorization code use
   * `loginWithCode` of `@baton/client/authorization`. `idempotencyKey` (22 to 255 characters, random by default) identifies the exchange of
   * a code, which is repeated if its response is lost. Rejects with a `SessionError`, and with a `ConfigurationError` for invalid
   * arguments.
   */
  loginWithGrant(parameters: Readonly<Record<string, string>>, idempotencyKey?: string): Promise<void>
  /**
   * Signs out in all tabs immediately, then at the server. `revoked` is true if the server has confirmed it. Otherwise the request is
   * repeated later, if that is possible.
   */
  logout(): Promise<{ readonly revoked: boolean }>
  /** Calls the listener at each event of this type. Returns a function that removes the listener. Throws `ConfigurationError`. */
  on<Type extends SessionEvent>(type: Type, listener: SessionListener<Type>): () => void
  snapshot(): SessionSnapshot
  /** Follows changes in other tabs, and refreshes the token when the page becomes active. Repeated calls have no effect. */
  start(): void
  /** Reverts `start`. Requests in progress continue. */
  dispose(): void
}

/** Returns the start of all URLs of an origin. `URL.origin` is "null" for app shells such as `capacitor://localhost`. */
function toPrefix(origin: string): string {
  if (!/^(?!file)[^/]+:\/\/[^/?#@]+\/?$/.test(origin))
    throw new ConfigurationError('allowedOrigins', `must list origins such as https://api.example, got ${origin}`)
  return new URL('/', origin).href
}

/** A longer time is probably given in milliseconds. */
const SECONDS: Rule = ['more than 0 and at most 600', (value) => typeof value === 'number' && value > 0 && value <= 600]

/**
 * Creates a session. Sends no request until it is used. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { createSession } from '@baton/client'
 * import { oauthEndpoints } from '@baton/client/oauth'
 *
 * const session = createSession({
 *   endpoints: oauthEndpoints({ tokenEndpoint: 'https://login.example/oauth/token', clientId: 'web' }),
 *   allowedOrigins: ['https://api.example'],
 * })
 * session.start()
 * const response = await session.fetch('https://api.example/me')
 * ```
 */
export function createSession(options: SessionOptions): Session {
  checkOptions<SessionOptions>(
    options,
    { endpoints: '.connect' },
    {
      storage: '.swap',
      allowedOrigins: ['a list', Array.isArray],
      dpop: '.send',
      lockTimeoutSeconds: SECONDS,
      requestTimeoutSeconds: SECONDS,
      environment: '.fetch',
    },
  )
  const {
    endpoints,
    environment = createEnvironment(),
    storage = memoryStorage(),
    dpop: proofs = { scheme: 'Bearer', send: (build: () => Request) => environment.fetch(build()) },
    lockTimeoutSeconds = 15,
    requestTimeoutSeconds = 10,
    // In app shells such as `capacitor://localhost` the API is not at the origin of the page.
    allowedOrigins = [environment.origin?.startsWith('http') ? environment.origin : endpoints.origin],
  } = options
  const { on, emit } = createEmitter()
  const parts = {
    endpoints,
    environment,
    storage,
    proofs,
    lockTimeoutSeconds,
    requestTimeoutSeconds,
    allowedOrigins: allowedOrigins.map(toPrefix),
    emit,
  }
  const records = createRecordStore(parts)
  const context: SessionContext = { ...parts, records }
  const { refresh, exchange, run, flush, parseGrant } = endpoints.connect(context)
  const tokens = createTokenManager({ ...context, refresh, flush })
  const { getToken, snapshot, start, dispose } = tokens

  /** Replaces the stored session, or stores its end. Responses in progress cannot restore the old session. */
  function replaceSession(next: LiveSession | null): Promise<unknown> {
    return records.change((record) => {
      const before: SessionMembers = record?.session ?? {}
      const { state, sid = null, refreshToken = null, endedSid } = before
      // In cookie mode there may be a cookie without a stored session.
      const isKept = sid ? refreshToken === next?.refreshToken : state === 'ended' || !endpoints.isCookie
      const untold = [...(record?.revocations ?? []), ...(isKept ? [] : [{ refreshToken, sid }])]
      return {
        ...record,
        session: next ?? {
          state: 'ended',
          reason: 'logout',
          generationId: randomText(environment),
          endedSid: sid ?? endedSid,
        },
        pause: null,
        // The server ends a session whose cookie is replaced. A later revocation could end the next session.
        revocations: next && endpoints.isCookie ? [] : untold,
      }
    })
  }

  async function signIn(answer: TokenResult): Promise<void> {
    // A rejected sign-in does not end the previous session.
    if (answer instanceof SessionError)
      throw answer.code === 'signed_out' ? new SessionError('bad_answer', answer.reason) : answer
    const session = toSuccessor(
      { state: 'unknown', generationId: randomText(environment) },
      answer,
      randomText(environment),
    )
    await replaceSession(session)
    tokens.signIn(session)
    void flush()
  }

  return {
    fetch: createAuthorizedFetch({ ...context, ...tokens }),
    async getAccessToken(options = {}) {
      checkOptions(options, {}, { signal: 'object' })
      return (await unlessAborted(getToken({ early: false }), options.signal)).accessToken
    },
    login: (answer) =>
      run(async (signal) => {
        const began = captureStart(environment)
        const members = typeof answer === 'function' ? await answer(signal) : answer
        await signIn(parseGrant(members, { scheme: proofs.scheme, sentAt: began() }))
      }),
    async loginWithGrant(parameters, idempotencyKey = randomText(environment)) {
      checkOptions({ parameters, idempotencyKey }, { parameters: 'object', idempotencyKey: 'string' }, {})
      await signIn(await exchange(parameters, idempotencyKey))
    },
    async logout() {
      await replaceSession(null)
      tokens.signOut()
      return { revoked: await flush() }
    },
    on,
    snapshot,
    start,
    dispose,
  }
}
