/** Everything that a session needs of its surroundings, so that a test or a simulation can be one. */
export interface Environment {
  readonly fetch: (input: Request | string | URL, init?: RequestInit) => Promise<Response>
  /** The wall clock, epoch milliseconds. It may jump. */
  now(): number
  /** A clock that never goes back, in milliseconds. It may stand still while the machine sleeps. */
  elapsed(): number
  /** That many random bytes, unguessable. */
  random(size: number): Uint8Array
  /** Calls once, no earlier than in `ms`; the answer cancels. In the background it must not keep a process alive. */
  setTimer(ms: number, call: () => void, place?: 'background'): () => void
  /** Calls when the page is back: visible, shown again, resumed, online. The answer ends it. */
  onWake(call: () => void): () => void
  /** The page's own origin; null where there is none. */
  readonly origin: string | null
}

/** What we use of a browser, each part of which may be missing. */
interface Globals {
  readonly fetch: Environment['fetch']
  /** As `location.origin`, but that of the page around it in a `srcdoc` frame. */
  readonly origin?: string
  readonly location?: { readonly origin: string }
  readonly document?: { readonly visibilityState: string }
  readonly addEventListener?: (type: string, listener: () => void, options: typeof CAPTURE) => void
  readonly removeEventListener?: (type: string, listener: () => void, options: typeof CAPTURE) => void
}

/** Events of the document pass the window on their way down. */
const CAPTURE = { capture: true } as const
const WAKE_EVENTS = ['visibilitychange', 'resume', 'pageshow', 'online']

/** The browser, worker or Node process that we are in. */
export function createEnvironment(): Environment {
  const here: Globals = globalThis
  return {
    fetch: (input, init) => here.fetch(input, init),
    now: () => Date.now(),
    elapsed: () => performance.now(),
    random: (size) => crypto.getRandomValues(new Uint8Array(size)),
    setTimer(ms, call, place) {
      const timer = setTimeout(call, ms)
      // Numbers in browsers, objects in Node.
      if (place && typeof timer === 'object') timer.unref()
      return () => clearTimeout(timer)
    },
    onWake(call) {
      const wake = () => {
        if (here.document?.visibilityState !== 'hidden') call()
      }
      for (const type of WAKE_EVENTS) here.addEventListener?.(type, wake, CAPTURE)
      return () => {
        for (const type of WAKE_EVENTS) here.removeEventListener?.(type, wake, CAPTURE)
      }
    },
    origin: (here.location?.origin === 'null' ? here.origin : here.location?.origin) ?? null,
  }
}
