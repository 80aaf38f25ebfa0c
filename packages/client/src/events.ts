import type { SignedOutReason } from './record.js'

/** What happened to the session. No event carries a token. */
export interface SessionEvents {
  /** `login` or `loginWithCode`, here. */
  readonly signedIn: { readonly sid: string }
  /** This page has exchanged the refresh token. `expiresAt` is epoch milliseconds, null where the server did not say. */
  readonly refreshed: { readonly sid: string; readonly generation: number; readonly expiresAt: number | null }
  /** Another tab or process had. `replaced`: it is another session than before, so what the page shows may be somebody else's. */
  readonly adopted: {
    readonly sid: string
    readonly generation: number
    readonly expiresAt: number | null
    readonly replaced: boolean
  }
  /** The server did not answer, or asked for patience; it will be asked again in `waitMs`. */
  readonly retrying: { readonly tries: number; readonly waitMs: number; readonly cause: string }
  /** Nobody is signed in: not any more, in any tab, or, with `no_session`, not yet. */
  readonly signedOut: { readonly reason: SignedOutReason }
  /** The server has not heard of a sign-out yet. It will be told; until then the token works. */
  readonly revocationQueued: { readonly pending: number }
  /** The storage failed: this page goes on, but nobody else will find what it knows. */
  readonly storageFailed: { readonly error: unknown }
}

export type SessionEvent = keyof SessionEvents
export type SessionListener<Type extends SessionEvent> = (event: SessionEvents[Type]) => void

/** Tells listeners; one that throws fails alone. */
export interface Emitter {
  on<Type extends SessionEvent>(type: Type, listener: SessionListener<Type>): () => void
  emit<Type extends SessionEvent>(type: Type, event: SessionEvents[Type]): void
}

export function createEmitter(): Emitter {
  const listeners: { [Type in SessionEvent]?: Set<SessionListener<Type>> } = {}
  function listenersOf<Type extends SessionEvent>(type: Type): Set<SessionListener<Type>> {
    const own: { [Key in Type]?: Set<SessionListener<Key>> } = listeners
    return (own[type] ??= new Set())
  }
  return {
    on(type, listener) {
      // A listener that is given twice is two.
      const own: typeof listener = (event) => listener(event)
      listenersOf(type).add(own)
      return () => void listenersOf(type).delete(own)
    },
    emit(type, event) {
      for (const listener of [...listenersOf(type)]) {
        try {
          listener(event)
        } catch (error) {
          // Reported as an error of the app's own, without taking the session with it.
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
  }
}
