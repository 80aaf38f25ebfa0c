import { runInNewContext } from 'node:vm'

type Callback = () => unknown

/**
 * Callbacks of observers that fail in different ways, by name. `hangs` never settles; all others fail. The caller must not wait for them,
 * fail with them or leave a rejection unhandled.
 */
export const FAILING_CALLBACKS: readonly (readonly [name: string, callback: Callback])[] = [
  [
    'throws an Error',
    () => {
      throw new Error('the callback failed')
    },
  ],
  [
    'throws a value without a readable name',
    () => {
      throw unreadableError()
    },
  ],
  ['returns a rejected promise', async () => Promise.reject(new Error('the callback failed'))],
  [
    'returns a rejected promise of another realm',
    (): unknown => runInNewContext("Promise.reject(new Error('the callback failed'))"),
  ],
  [
    'returns a rejected promise with its own "then"',
    () => Object.assign(Promise.reject(new Error('the callback failed')), { then: () => undefined }),
  ],
  [
    'returns a rejected promise whose "then" cannot be read',
    () => Object.defineProperty(Promise.reject(new Error('the callback failed')), 'then', { get: unreadable }),
  ],
  [
    'returns a thenable that rejects',
    () => ({ then: (_resolve: unknown, reject: (reason: Error) => void) => reject(new Error('the callback failed')) }),
  ],
  [
    'returns a thenable of another realm that rejects',
    (): unknown => runInNewContext("({ then: (_, reject) => reject(new Error('the callback failed')) })"),
  ],
  ['returns a thenable whose "then" throws', () => ({ then: unreadable })],
  ['returns a thenable whose "then" cannot be read', () => Object.defineProperty({}, 'then', { get: unreadable })],
  [
    'returns a function that is a rejecting thenable',
    () =>
      Object.assign(() => undefined, { then: (_: unknown, reject: (reason: Error) => void) => reject(new Error()) }),
  ],
]

/** A callback whose promise never settles. */
export const hangingCallback: Callback = () => new Promise(() => undefined)

/** An error whose members throw when they are read, as a revoked or hostile Proxy does. */
export function unreadableError(): Error {
  return new Proxy(new Error(), { get: unreadable, getPrototypeOf: unreadable })
}

function unreadable(): never {
  throw new Error('the member cannot be read')
}

/** Collects what would have ended the process. `stop` waits for what is pending, and returns it. */
export function watchUnhandled(): { stop(): Promise<unknown[]> } {
  const unhandled: unknown[] = []
  const collect = (reason: unknown) => void unhandled.push(reason)
  const events = ['unhandledRejection', 'uncaughtException'] as const
  const before = events.map((event) => [event, process.listeners(event as never)] as const)
  for (const event of events) process.removeAllListeners(event).on(event, collect)
  return {
    async stop() {
      // Node reports an unhandled rejection once the microtasks have run.
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      for (const [event, listeners] of before) {
        process.removeAllListeners(event)
        for (const listener of listeners) process.on(event, listener as never)
      }
      return unhandled
    },
  }
}
