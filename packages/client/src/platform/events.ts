import { callObserver } from './observer.js'
import { checkOptions, type Rule } from './options.js'

/** Why nobody is signed in. */
export type SignedOutReason =
  /** Nobody has signed in here. */
  | 'no_session'
  /** `logout` or `logoutEverywhere`, in any tab. */
  | 'logout'
  /** The server refused the refresh token: expired, revoked or stolen. */
  | 'refused'
  /** The access token is over, and no refresh token came with it. */
  | 'not_renewable'
  /** Somebody else has signed in meanwhile. */
  | 'replaced'
  /** The storage was emptied. */
  | 'cleared'

/** Who is signed in. */
export interface SignedIn {
  readonly sid: string
  readonly generation: number
  /** End of the access token, epoch milliseconds; null where the server did not say. */
  readonly expiresAt: number | null
  /** It is another session than before, so what the page shows may be somebody else's. */
  readonly replaced: boolean
}

/** What happened to the session. No event carries a token. */
export interface SessionEvents {
  /** A sign-in, here. */
  readonly signedIn: SignedIn
  /** This page has exchanged the refresh token. */
  readonly refreshed: SignedIn
  /** Another tab or process has, or somebody has signed in there. */
  readonly synced: SignedIn
  /** The server did not answer, or asked for patience; it will be asked again in `waitMs`. */
  readonly retrying: { readonly tries: number; readonly waitMs: number; readonly reason: string }
  /** Nobody is signed in: not any more, in any tab, or, with `no_session`, not yet. */
  readonly signedOut: { readonly reason: SignedOutReason }
  /** The server has not heard of a sign-out yet. It will be told; until then the token works. */
  readonly revocationQueued: { readonly pending: number }
  /** The storage or its lock failed or did not respond: this page continues in memory, which other pages do not see. */
  readonly storageFailed: { readonly error: unknown }
}

export type SessionEvent = keyof SessionEvents
export type SessionListener<Type extends SessionEvent> = (event: SessionEvents[Type]) => unknown

export type Emit = <Type extends SessionEvent>(type: Type, event: SessionEvents[Type]) => void

/** Calls listeners. One that fails affects neither the session nor other listeners. */
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
      // A listener that is given twice is two.
      const own: typeof listener = (event) => listener(event)
      listenersOf(type).add(own)
      return () => void listenersOf(type).delete(own)
    },
    emit(type, event) {
      for (const listener of [...listenersOf(type)])
        callObserver(
          () => listener(event),
          // eslint-disable-next-line no-console -- the only place that every platform has; thrown later, it would end a Node process
          (failure) => console.error(`a listener of "${type}" failed`, failure),
        )
    },
  }
}
