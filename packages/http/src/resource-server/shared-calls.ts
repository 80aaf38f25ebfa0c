/** Calls that concurrent callers share. */
export interface SharedCalls<Value> {
  /** Starts a call, or returns the promise of the pending call with this key. */
  run(key: string, start: () => Promise<Value>): Promise<Value>
  isPending(key: string): boolean
}

/**
 * Lets concurrent callers with one key wait for one call. In Cloudflare Workers a promise of one request must not be awaited in another one,
 * so every caller starts its own call there.
 */
export function sharedCalls<Value>(): SharedCalls<Value> {
  const pending = new Map<string, Promise<Value>>()
  return {
    run(key, start) {
      const shared = isolatesRequests() ? undefined : pending.get(key)
      if (shared !== undefined) return shared
      const call = start().finally(() => {
        if (pending.get(key) === call) pending.delete(key)
      })
      pending.set(key, call)
      return call
    },
    isPending: (key) => pending.has(key),
  }
}

interface Globals {
  readonly fetch: unknown
  readonly navigator?: { readonly userAgent?: string }
}

function isolatesRequests(): boolean {
  const { navigator }: Globals = globalThis
  return navigator?.userAgent === 'Cloudflare-Workers'
}
