import { type Grant, readGrant } from './answer.js'
import { type CookieOptions, cookieEndpoints, endpointUrl, type TokenOptions, tokenEndpoints } from './endpoints.js'
import { createEnvironment, type Environment } from './environment.js'
import { KeyLostError, MisuseError, SessionError, UnavailableError } from './errors.js'
import { createEmitter, type SessionEvent, type SessionListener } from './events.js'
import { type GuardedFetch, guardedFetch } from './guarded-fetch.js'
import { createKeeper, type Sent, type SessionSnapshot } from './keeper.js'
import { type Lock, platformLock, unlessAborted } from './lock.js'
import { codeOf, type PendingAuthorization } from './callback.js'
import type { Proofs } from './proofs.js'
import { EMPTY, isObject, type LiveSession, type PendingRevocation, type SessionRecord } from './record.js'
import { createRevocations } from './revocations.js'
import { memoryStorage, type SessionStorage, sharedName, sturdy } from './storage.js'
import { deadline, randomText } from './timing.js'
import { createTransport } from './transport.js'
import { createVault } from './vault.js'

interface CommonOptions {
  /** Where the session is kept; whoever uses the same storage shares it. Default `memoryStorage()`. */
  readonly storage?: SessionStorage
  /** Default: Web Locks where the platform has them, else a lock within this page or process. */
  readonly lock?: Lock
  /** Where `session.fetch` attaches the token. Default: the page's own origin, else that of the server of the session. */
  readonly allowedOrigins?: readonly string[]
  /** `POST …/logout-everywhere` of a Baton server, or what does the same for a bearer token. */
  readonly logoutEverywhereEndpoint?: string | URL
  /** Binds all tokens to a key: `dpopProofs()` of `@baton/client/dpop`. */
  readonly proofs?: Proofs
  /** How long to wait for others that refresh; sleep does not count. Default 15. */
  readonly lockTimeoutSeconds?: number
  /** How long to wait for one answer of the server; sleep does not count. Default 10. */
  readonly requestTimeoutSeconds?: number
  /** Clocks, timers, randomness, network and page events. Only tests have a reason to set it. */
  readonly environment?: Environment
}

export type SessionOptions = CommonOptions & (TokenOptions | CookieOptions)

/** The members of a token response (RFC 6749 section 5.1), unchecked. */
export type TokenResponse = Readonly<Record<string, unknown>>

/** Keeps somebody signed in. Only a sign-out, or the server's refusal, ends a session; everything else is waited out. */
export interface Session {
  /**
   * `fetch` with the access token, on allowed origins only. A 401 is answered by one refresh and one repetition; a second one is the
   * caller's. Rejects with a `SessionError` where there is no token, and otherwise as `fetch` does.
   */
  readonly fetch: GuardedFetch
  /** An access token that works, refreshed before if need be. Rejects with a `SessionError`. Aborting ends the wait, never the refresh. */
  getAccessToken(options?: { readonly signal?: AbortSignal }): Promise<string>
  /**
   * Takes over the tokens of a sign-in. In cookie mode give the function that asks the server, instead of its answer: no refresh of
   * another session may come in between. Whoever was signed in before is signed out. Rejects with a `SessionError`.
   */
  login(answer: TokenResponse | (() => Promise<unknown>)): Promise<void>
  /** Exchanges the code that the browser came back with, for what `beginAuthorization` had begun. Rejects with a `SessionError`. */
  loginWithCode(callbackUrl: string | URL, pending: PendingAuthorization): Promise<void>
  /**
   * Signs out: here and in all tabs at once, then at the server. `revoked` is whether the server has confirmed it; if not, it is told
   * again, where that can help.
   */
  logout(): Promise<{ readonly revoked: boolean }>
  /** Ends all sessions of this person at the server, then this one here. Rejects with a `SessionError`, and then none has ended. */
  logoutEverywhere(): Promise<void>
  /** Calls at each event of this type; the answer ends that. */
  on<Type extends SessionEvent>(type: Type, listener: SessionListener<Type>): () => void
  snapshot(): SessionSnapshot
  /** Follows other tabs, wakes up with the page, and refreshes ahead of time. Once started, starting does nothing. */
  start(): void
  /** Undoes `start`, so that it can be started again. What is under way goes on. */
  dispose(): void
}

const TRIES = 3
const BACK_OFF_MS = 1000
const MOST_BACK_OFF_MS = 30_000
const PATIENCE_MS = 15_000
const MOST_SECONDS = 600

/** Opens for business; asks nobody anything yet. Throws `MisuseError` naming option, value and mend. */
export function createSession(options: SessionOptions): Session {
  const { environment = createEnvironment(), lock = platformLock(), proofs = null } = options
  const endpoints =
    'tokenEndpoint' in options
      ? tokenEndpoints(options, environment.origin)
      : cookieEndpoints(options, environment.origin)
  const everywhere =
    options.logoutEverywhereEndpoint === undefined
      ? null
      : endpointUrl('logoutEverywhereEndpoint', options.logoutEverywhereEndpoint, environment.origin)
  const timeoutMs = milliseconds('requestTimeoutSeconds', options.requestTimeoutSeconds ?? 10)
  const lockTimeoutMs = milliseconds('lockTimeoutSeconds', options.lockTimeoutSeconds ?? 15)
  const origins = new Set(options.allowedOrigins ?? [environment.origin ?? endpoints.origin])

  const emitter = createEmitter()
  const storage = sturdy(options.storage ?? memoryStorage(), (error) => emitter.emit('storageFailed', { error }))
  const vault = createVault(storage)
  const transport = createTransport({ environment, endpoints, proofs, timeoutMs })
  const revocations = createRevocations({ environment, vault, transport, emitter, alone })
  const keeper = createKeeper({
    environment,
    storage,
    vault,
    lock,
    transport,
    lockTimeoutMs,
    emitter,
    rules: {
      carrier: endpoints.carrier,
      sharesAccessToken: endpoints.sharesAccessToken,
      tries: TRIES,
      backOffMs: BACK_OFF_MS,
      mostBackOffMs: MOST_BACK_OFF_MS,
      patienceMs: PATIENCE_MS,
    },
    onOrphan: (refreshToken) => void revocations.add({ refreshToken, sid: null }),
    onWake: () => void revocations.flush(),
  })
  const guarded = guardedFetch({ environment, proofs, tokens: keeper, origins })

  /** Answers set the cookie in whatever order they come, so one at a time; without the lock rather than never. */
  async function alone<T>(work: () => Promise<T>): Promise<T> {
    if (endpoints.carrier === 'token') return work()
    const { signal, cancel } = deadline(environment, lockTimeoutMs)
    const release = await lock.acquire(sharedName(storage), signal).catch(() => () => undefined)
    cancel()
    try {
      return await work()
    } finally {
      release()
    }
  }

  const clocks = (): Sent => ({ at: environment.now(), elapsed: environment.elapsed() })

  async function begin({ accessToken, refreshToken, lifetimeMs, scope, sid }: Grant, sent: Sent): Promise<void> {
    const session: LiveSession = {
      state: 'live',
      sid: sid ?? randomText(environment),
      generation: 0,
      attempt: randomText(environment),
      refreshToken,
      accessToken,
      expiresAt: lifetimeMs === null ? null : sent.at + lifetimeMs,
      lifetimeMs,
      scope,
    }
    const stored = endpoints.sharesAccessToken ? session : { ...session, accessToken: null }
    await vault.change((record) => ({
      ...(record ?? EMPTY),
      session: stored,
      pause: null,
      revocations: [...(record?.revocations ?? []), ...replacedBy(session, record)],
    }))
    keeper.enter(session, sent)
    void revocations.flush()
  }

  function grantOf(members: unknown): Grant {
    const answer = isObject(members) ? readGrant(members, proofs === null ? 'bearer' : 'dpop') : null
    if (answer?.kind === 'granted') return answer.grant
    throw new SessionError(
      'bad_answer',
      'there is no access_token in it, or its token_type is not what this session uses',
    )
  }

  /** The tombstone: from here on no answer that is under way can bring the session back. */
  async function end({ revoke }: { readonly revoke: boolean }): Promise<void> {
    await vault.change((record) => {
      const session = record?.session
      const live = session?.state === 'live' ? session : null
      const sid = live?.sid ?? null
      // Without a marker there may still be a cookie.
      const isKnown = live !== null || (endpoints.carrier === 'cookie' && session?.state !== 'ended')
      const added = revoke && isKnown ? [{ refreshToken: live?.refreshToken ?? null, sid }] : []
      return {
        ...(record ?? EMPTY),
        session: { state: 'ended', sid, reason: 'logout' },
        pause: null,
        revocations: [...(record?.revocations ?? []), ...added],
      }
    })
    keeper.leave('logout')
  }

  return {
    fetch: guarded,
    getAccessToken: async ({ signal } = {}) => (await unlessAborted(keeper.get({ early: false }), signal)).value,
    async login(answer) {
      if (typeof answer !== 'function') return begin(grantOf(answer), clocks())
      return alone(async () => {
        const sent = clocks()
        await begin(grantOf(await answer()), sent)
      })
    },
    async loginWithCode(callbackUrl, pending) {
      const { codeVerifier, redirectUri } = pending
      const form = { code: codeOf(callbackUrl, pending), code_verifier: codeVerifier, redirect_uri: redirectUri }
      const { answer, sentAt, sentElapsed } = await transport.exchange(form)
      switch (answer.kind) {
        case 'granted':
          return begin(answer.grant, { at: sentAt, elapsed: sentElapsed })
        case 'later':
          throw new UnavailableError(answer.cause, null)
        case 'misconfigured':
          throw new SessionError('misconfigured', `the server will not exchange the code (${answer.cause})`)
        case 'key_lost':
          throw new KeyLostError()
        case 'refused':
        case 'other_session':
          throw new SessionError('bad_answer', 'the server refused the code')
      }
    },
    async logout() {
      await end({ revoke: true })
      return { revoked: await revocations.flush() }
    },
    async logoutEverywhere() {
      if (everywhere === null)
        throw new MisuseError('logoutEverywhereEndpoint', 'is missing; give the endpoint that ends all sessions')
      const response = await guarded(everywhere, { method: 'POST' }, { replay: true }).catch((error: unknown) => {
        throw error instanceof SessionError ? error : new UnavailableError('no answer', null)
      })
      if (!response.ok) throw new UnavailableError(`status ${String(response.status)}`, null)
      // All that is left to end is the cookie.
      await end({ revoke: endpoints.carrier === 'cookie' })
      await revocations.flush()
    },
    on: (type, listener) => emitter.on(type, listener),
    snapshot: () => keeper.snapshot(),
    start: () => keeper.start(),
    dispose: () => keeper.stop(),
  }
}

/** The refresh token of an earlier sign-in, which nobody has any more. A cookie that is replaced the server ends by itself. */
function replacedBy({ refreshToken }: LiveSession, record: SessionRecord | null): readonly PendingRevocation[] {
  const before = record?.session
  if (before?.state !== 'live' || before.refreshToken === null || before.refreshToken === refreshToken) return []
  return [{ refreshToken: before.refreshToken, sid: before.sid }]
}

function milliseconds(option: string, seconds: number): number {
  if (seconds > 0 && seconds <= MOST_SECONDS) return seconds * 1000
  throw new MisuseError(option, `${String(seconds)} is not above 0 and at most ${String(MOST_SECONDS)} seconds`)
}
