import { callObserver } from './observer.js'
import { checkOptions, type Rule } from './options.js'

/** Why the user is signed out. */
export type SignedOutReason =
  /** No user has signed in. */
  | 'no_session'
  /** `logout` or `logoutEverywhere` was called, in any tab. */
  | 'logout'
  /** The server rejected the refresh token: it has expired or was revoked or reused. */
  | 'rejected'
  /** The access token has expired, and there is no refresh token. */
  | 'not_renewable'
  /** Another session was started since. */
  | 'replaced'
  /** The storage was cleared. */
  | 'cleared'

/** A session that is signed in. */
export interface SignedIn {
  readonly sid: string
  readonly generation: number
  /** Expiry of the access token in epoch milliseconds; null if the server did not state a lifetime. */
  readonly expiresAt: number | null
  /** True if this is another session than before. The page must not show data of the old one. */
  readonly replaced: boolean
}

/** The events of a session. No event contains a token. */
export interface SessionEvents {
  /** A user signed in on this page. */
  readonly signedIn: SignedIn
  /** This page has exchanged the refresh token. */
  readonly refreshed: SignedIn
  /** Another tab or process has refreshed or signed in, and this page uses its session. */
  readonly synced: SignedIn
  /** A request failed or must wait, and is repeated after `waitMs`. */
  readonly retrying: { readonly tries: number; readonly waitMs: number; readonly reason: string }
  /** The user is signed out, in any tab. With `no_session` no user has signed in yet. */
  readonly signedOut: { readonly reason: SignedOutReason }
  /** The server has not confirmed a sign-out yet. The request is repeated; until then the token stays valid. */
  readonly revocationQueued: { readonly pending: number }
  /** The storage or its lock failed or did not respond. This page continues in memory; other pages do not see its changes. */
  readonly storageFailed: { readonly error: unknown }
}

export type SessionEvent = keyof SessionEvents
export type SessionListener<Type extends SessionEvent> = (event: SessionEvents[Type]) => unknown

export type Emit = <Type extends SessionEvent>(type: Type, event: SessionEvents[Type]) => void

/** Calls listeners. A listener that throws affects neither the session nor other listeners. */
export interface Emitter {
  readonly on: <Type extends SessionEvent>(type: Type, listener: SessionListener<Type>) => () => void
  readonly emit: Emit
}

const EVENTS: Readonly<Record<SessionEvent, null>> = {
  signedIn: null,
  refreshed: null,
  synced: null,
  retrying: null,
  signedOut: null,
  revocationQueued: null,
  storageFailed: null,
}
const EVENT: Rule = [`one of ${Object.keys(EVENTS).join(', ')}`, (value) => Object.keys(EVENTS).includes(String(value))]

export function createEmitter(): Emitter {
  const listeners: { [Type in SessionEvent]?: Set<SessionListener<Type>> } = {}
  function listenersOf<Type extends SessionEvent>(type: Type): Set<SessionListener<Type>> {
    const own: { [Key in Type]?: Set<SessionListener<Key>> } = listeners
    return (own[type] ??= new Set())
  }
  return {
    on(type, listener) {
      checkOptions({ type, listener }, { type: EVENT, listener: 'function' }, {})
      // A listener that is added twice is called twice.
      const own: typeof listener = (event) => listener(event)
      listenersOf(type).add(own)
      return () => void listenersOf(type).delete(own)
    },
    emit(type, event) {
      for (const listener of [...listenersOf(type)])
        callObserver(
          () => listener(event),
          // eslint-disable-next-line no-console -- `reportError` is missing in Node.js, where an uncaught error ends the process
          (failure) => console.error(`a listener of "${type}" failed`, failure),
        )
    },
  }
}
