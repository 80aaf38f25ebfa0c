import { checkOptions } from './platform/options.js'
import type { SessionStorage } from './platform/storage.js'
import { createUnavailableError, readUnlessDenied } from './platform/denied-storage.js'
import { crossTabSync } from './cross-tab.js'

export interface WebStorageOptions {
  /** Tells sessions of one origin apart. Default `baton`. */
  readonly key?: string
  /** `local` is shared by all tabs and survives the browser; `session` is one tab's. Default `local`. */
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

/** How long a write takes to be seen by the other processes of the browser, with a good margin. */
const SPREAD_MS = 50

/**
 * Keeps the session in Web Storage. No browser promises when a write of one tab is seen by the next, so `indexedDbStorage` is the
 * better choice for `local`: here a second tab may ask the server once more for what it has already answered. Workers have none.
 */
export function webStorage(options: WebStorageOptions = {}): SessionStorage {
  checkOptions<WebStorageOptions>(
    options,
    {},
    { key: 'string', area: ['"local" or "session"', (value) => value === 'local' || value === 'session'] },
  )
  const { key = 'baton', area = 'local' } = options
  const here: Globals = globalThis

  /** Looked for at each call: merely naming a blocked storage throws. */
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
      // Throws where the storage is full, and what was there stays.
      items.setItem(key, after)
      // Whoever is given the lock next reads in another process.
      if (area === 'local') await new Promise((resolve) => setTimeout(resolve, SPREAD_MS))
      return true
    },
  }
}
