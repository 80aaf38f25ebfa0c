import { checkOptions } from './platform/options.js'
import type { SessionStorage } from './platform/storage.js'
import { createUnavailableError, readUnlessDenied } from './platform/denied-storage.js'
import { crossTabSync } from './cross-tab.js'

export interface WebStorageOptions {
  /** Identifies the session among those of one origin. Default `baton`. */
  readonly key?: string
  /** `local` is shared by all tabs and persistent; `session` belongs to one tab. Default `local`. */
  readonly area?: 'local' | 'session'
}

interface Area {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
}

interface Globals {
  readonly fetch: unknown
  readonly localStorage?: Area
  readonly sessionStorage?: Area
}

/** Time until other processes of the browser see a write, with a margin. */
const SPREAD_MS = 50

/**
 * Stores the session in Web Storage. Browsers do not guarantee when other tabs see a write, so a second tab may repeat a refresh request;
 * prefer `indexedDbStorage` for shared sessions. Not available in workers. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { createSession } from '@baton/client'
 * import { cookieEndpoints } from '@baton/client/cookie'
 * import { webStorage } from '@baton/client/web-storage'
 *
 * const session = createSession({
 *   endpoints: cookieEndpoints({ refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout' }),
 *   storage: webStorage({ area: 'session' }),
 * })
 * ```
 */
export function webStorage(options: WebStorageOptions = {}): SessionStorage {
  checkOptions<WebStorageOptions>(
    options,
    {},
    { key: 'string', area: ['"local" or "session"', (value) => value === 'local' || value === 'session'] },
  )
  const { key = 'baton', area = 'local' } = options
  const here: Globals = globalThis

  /** Reads the global at each call: access to a blocked storage throws. */
  function storage(): Area {
    const found = area === 'local' ? here.localStorage : here.sessionStorage
    if (found === undefined) throw createUnavailableError('Web Storage')
    return found
  }

  return {
    ...crossTabSync(`${area}Storage:${key}`),
    read: () => readUnlessDenied(async () => storage().getItem(key)),
    async swap(before, after) {
      const items = storage()
      if (items.getItem(key) !== before) return false
      // Throws if the storage is full; the old value stays.
      items.setItem(key, after)
      // The next holder of the lock may run in another process.
      if (area === 'local') await new Promise((resolve) => setTimeout(resolve, SPREAD_MS))
      return true
    },
  }
}
