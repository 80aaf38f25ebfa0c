import { checkOptions } from './platform/options.js'
import type { SessionStorage } from './platform/storage.js'
import { type Table, transact } from './platform/idb.js'
import { readUnlessDenied } from './platform/denied-storage.js'
import { crossTabSync } from './cross-tab.js'

export interface IndexedDbOptions {
  /** Identifies the session among those of one origin. Default `baton`. */
  readonly key?: string
}

const PLACE = { database: 'baton', table: 'sessions' }

/**
 * Stores the session in IndexedDB, shared by tabs and workers. Each swap is one transaction. Throws `ConfigurationError`.
 *
 * @example
 * ```ts
 * import { createSession } from '@baton/client'
 * import { cookieEndpoints } from '@baton/client/cookie'
 * import { indexedDbStorage } from '@baton/client/indexed-db'
 *
 * const session = createSession({
 *   endpoints: cookieEndpoints({ refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout' }),
 *   storage: indexedDbStorage(),
 * })
 * ```
 */
export function indexedDbStorage(options: IndexedDbOptions = {}): SessionStorage {
  checkOptions<IndexedDbOptions>(options, {}, { key: 'string' })
  const { key = 'baton' } = options

  function stored(table: Table, use: (text: string | null) => void): void {
    const getting = table.get(key)
    getting.onsuccess = () => use(typeof getting.result === 'string' ? getting.result : null)
  }

  return {
    ...crossTabSync(`indexedDB:${key}`),
    read: () => readUnlessDenied(() => transact<string | null>(PLACE, (table, finish) => stored(table, finish))),
    swap: (before, after) =>
      transact<boolean>(PLACE, (table, finish) =>
        stored(table, (text) => {
          if (text === before) table.put(after, key)
          finish(text === before)
        }),
      ),
  }
}
