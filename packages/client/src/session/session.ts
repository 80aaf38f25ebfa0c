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
  /** Where the session is kept; whoever uses the same storage shares it. Default `memoryStorage()`. */
  readonly storage?: SessionStorage
  /**
   * Where `session.fetch` attaches the token: http(s) origins, in any spelling. Default: the page's own origin, else that of the server of
   * the session, also in app shells such as `capacitor://localhost`.
   */
  readonly allowedOrigins?: readonly string[]
  /** Binds all tokens to a key: `dpop()` of `@baton/client/dpop`. */
  readonly dpop?: Proofs
  /** How long to wait for others that refresh, at most 600; sleep does not count. Default 15. */
  readonly lockTimeoutSeconds?: number
  /** How long to wait for one answer of the server, at most 600; sleep does not count. Default 10. */
  readonly requestTimeoutSeconds?: number
  /** Clocks, timers, randomness, network and page events. Only tests have a reason to set it. */
  readonly environment?: Environment
}

/** The members of a token response (RFC 6749 section 5.1), unchecked. */
export type TokenResponse = Readonly<Record<string, unknown>>

/** Keeps somebody signed in. Only a sign-out, or the server's refusal, ends a session; everything else is waited out. */
export interface Session {
  /**
   * `fetch` with the access token, on allowed origins only. A 401 is answered by one refresh and one repetition; a second one is the
   * caller's. Rejects with a `SessionError` where there is no token, and otherwise as `fetch` does.
   */
  readonly fetch: AuthorizedFetch
  /** An access token that works, refreshed before if need be. Rejects with a `SessionError`. Aborting ends the wait, never the refresh. */
  getAccessToken(options?: { readonly signal?: AbortSignal }): Promise<string>
  /**
   * Takes over the tokens of a sign-in. In cookie mode, pass the function that sends the request instead of its response: no other
   * request that sets the cookie is sent meanwhile. Pass its signal to `fetch`; it aborts after 60 seconds. The session that was
   * signed in before is ended. Rejects with a `SessionError`.
   */
  login(answer: TokenResponse | ((signal: AbortSignal) => Promise<unknown>)): Promise<void>
  /**
   * Sends another grant (RFC 6749 section 4) to the token endpoint and signs in with its response. For an authorization code use
   * `loginWithCode` of `@baton/client/authorization`. `idempotencyKey` (22 to 255 characters, random by default) identifies the attempt
   * to exchange a code, which is then repeated if its response is lost. Rejects with a `SessionError`.
   */
  loginWithGrant(parameters: Readonly<Record<string, string>>, idempotencyKey?: string): Promise<void>
  /**
   * Signs out: here and in all tabs at once, then at the server. `revoked` is whether the server has confirmed it; if not, it is told
   * again, where that can help.
   */
  logout(): Promise<{ readonly revoked: boolean }>
  /** Calls at each event of this type; the answer ends that. */
  on<Type extends SessionEvent>(type: Type, listener: SessionListener<Type>): () => void
  snapshot(): SessionSnapshot
  /** Follows other tabs, and looks after the token whenever the page wakes up. Once started, starting does nothing. */
  start(): void
  /** Undoes `start`, so that it can be started again. What is under way goes on. */
  dispose(): void
}

/** How serialized URLs of an origin begin; `URL.origin` would be "null" for app shells such as `capacitor://localhost`. */
function toPrefix(origin: string): string {
  if (!/^(?!file)[^/]+:\/\/[^/?#@]+\/?$/.test(origin))
    throw new ConfigurationError('allowedOrigins', `must list origins such as https://api.example, got ${origin}`)
  return new URL('/', origin).href
}

/** More than ten minutes are probably milliseconds. */
const SECONDS: Rule = ['more than 0 and at most 600', (value) => typeof value === 'number' && value > 0 && value <= 600]

/** Opens for business; asks nobody anything yet. Throws `ConfigurationError`. */
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
    // App shells have origins such as `capacitor://localhost`, and no API there.
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

  /** Puts a session, or its end, in the place of what is stored: from here on no answer that is under way can bring that back. */
  function replaceSession(next: LiveSession | null): Promise<unknown> {
    return records.change((record) => {
      const before: SessionMembers = record?.session ?? {}
      const { state, sid = null, refreshToken = null, endedSid } = before
      // Without a marker there may still be a cookie.
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
        // A cookie that is replaced the server ends by itself; told of it later, it might end the next one.
        revocations: next && endpoints.isCookie ? [] : untold,
      }
    })
  }

  async function signIn(answer: TokenResult): Promise<void> {
    // A refusal here says nothing about who was signed in before.
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
