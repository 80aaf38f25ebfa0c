/** What a session uses of its platform. Tests and simulations replace it. */
export interface Environment {
  readonly fetch: (input: Request | string | URL, init?: RequestInit) => Promise<Response>
  /** The wall clock in epoch milliseconds. It may jump. */
  now(): number
  /** The monotonic clock in milliseconds. It may stop while the machine sleeps. */
  elapsed(): number
  /** Returns `size` cryptographically random bytes. */
  random(size: number): Uint8Array
  /** Calls once, after at least `ms`. Returns a function that cancels the timer. A background timer does not keep a process alive. */
  setTimer(ms: number, call: () => void, place?: 'background'): () => void
  /** Calls when the page becomes visible, is resumed or comes online. Returns a function that stops the calls. */
  onWake(call: () => void): () => void
  /** The origin of the page; null if there is none. */
  readonly origin: string | null
}

/** The parts of a browser that are used. Each may be missing. */
interface Globals {
  readonly fetch: Environment['fetch']
  /** Like `location.origin`; in a `srcdoc` frame the origin of the parent page. */
  readonly origin?: string
  readonly location?: { readonly origin: string }
  readonly document?: { readonly visibilityState: string }
  readonly addEventListener?: (type: string, listener: () => void, options: typeof CAPTURE) => void
  readonly removeEventListener?: (type: string, listener: () => void, options: typeof CAPTURE) => void
}

/** Document events reach the window in the capture phase. */
const CAPTURE = { capture: true } as const
const WAKE_EVENTS = ['visibilitychange', 'resume', 'pageshow', 'online']

/**
 * Returns the environment of the current browser, worker or Node.js process.
 *
 * @example
 * ```ts
 * import { createEnvironment, createSession } from '@baton/client'
 * import { cookieEndpoints } from '@baton/client/cookie'
 *
 * const session = createSession({
 *   endpoints: cookieEndpoints({ refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout' }),
 *   // A clock for tests, in epoch milliseconds.
 *   environment: { ...createEnvironment(), now: () => 1_800_000_000_000 },
 * })
 * ```
 */
export function createEnvironment(): Environment {
  const here: Globals = globalThis
  return {
    fetch: (input, init) => here.fetch(input, init),
    now: () => Date.now(),
    elapsed: () => performance.now(),
    random: (size) => crypto.getRandomValues(new Uint8Array(size)),
    setTimer(ms, call, place) {
      const timer = setTimeout(call, ms)
      // Timers are numbers in browsers and objects in Node.js.
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
