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
  setTimer(ms: number, call: () => void, place?: 'foreground' | 'background'): () => void
  /** Tells all others that listen under this name that what is stored has changed. */
  announce(name: string): void
  /** Calls at each announcement by others; the answer ends it. */
  listen(name: string, call: () => void): () => void
  /** Calls when the page is back: visible, shown again, resumed, online. The answer ends it. */
  onWake(call: () => void): () => void
  /** Whether somebody is looking; a hidden page leaves refreshing to those who need it. */
  isVisible(): boolean
  /** The page's own origin; null where there is none. */
  readonly origin: string | null
}

interface Listenable {
  addEventListener(type: string, listener: () => void): void
  removeEventListener(type: string, listener: () => void): void
}

interface Channel {
  postMessage(message: string): void
  addEventListener(type: 'message', listener: () => void): void
  removeEventListener(type: 'message', listener: () => void): void
}

/** What we use of a browser, each part of which may be missing. */
interface Surroundings {
  readonly fetch: Environment['fetch']
  readonly location?: { readonly origin: string }
  readonly BroadcastChannel?: new (name: string) => Channel
  readonly document?: Listenable & { readonly visibilityState: string }
  readonly addEventListener?: Listenable['addEventListener']
  readonly removeEventListener?: Listenable['removeEventListener']
}

const LONGEST_TIMER_MS = 0x7fffffff

/** The browser, worker or Node process that we are in. */
export function createEnvironment(): Environment {
  const here: Surroundings = globalThis
  const { document, location, BroadcastChannel } = here
  const channels = new Map<string, Channel>()

  function channel(name: string): Channel | null {
    // Processes do not hear each other, and a channel would keep one alive.
    if (location === undefined || BroadcastChannel === undefined) return null
    const open = channels.get(name) ?? new BroadcastChannel(name)
    channels.set(name, open)
    return open
  }

  return {
    fetch: (input, init) => here.fetch(input, init),
    now: () => Date.now(),
    elapsed: () => performance.now(),
    random: (size) => crypto.getRandomValues(new Uint8Array(size)),
    setTimer(ms, call, place) {
      const timer = setTimeout(call, Math.min(ms, LONGEST_TIMER_MS))
      // Numbers in browsers, objects in Node.
      if (place === 'background' && typeof timer === 'object') timer.unref()
      return () => clearTimeout(timer)
    },
    announce: (name) => channel(name)?.postMessage('changed'),
    listen(name, call) {
      const open = channel(name)
      const hear = () => call()
      open?.addEventListener('message', hear)
      return () => open?.removeEventListener('message', hear)
    },
    onWake(call) {
      const sources: (readonly [Partial<Listenable> | undefined, string])[] = [
        [document, 'visibilitychange'],
        [document, 'resume'],
        [here, 'pageshow'],
        [here, 'online'],
      ]
      const wake = () => {
        if (document?.visibilityState !== 'hidden') call()
      }
      for (const [source, type] of sources) source?.addEventListener?.(type, wake)
      return () => {
        for (const [source, type] of sources) source?.removeEventListener?.(type, wake)
      }
    },
    isVisible: () => document?.visibilityState !== 'hidden',
    origin: location?.origin ?? null,
  }
}
