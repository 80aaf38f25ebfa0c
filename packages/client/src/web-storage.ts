import type { SessionStorage } from '@baton/client'

export interface WebStorageOptions {
  /** Tells sessions of one origin apart. Default `baton`. */
  readonly key?: string
  /** `local` is shared by all tabs and survives the browser; `session` is one tab's. Default `local`. */
  readonly area?: 'local' | 'session'
}

interface Area {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

interface Surroundings {
  readonly fetch: unknown
  readonly localStorage?: Area
  readonly sessionStorage?: Area
}

/**
 * Keeps the session in Web Storage. Where that is blocked or full the session goes on in this page. Scripts of the page can read
 * it: see Limits. Workers have no Web Storage.
 */
export function webStorage({ key = 'baton', area = 'local' }: WebStorageOptions = {}): SessionStorage {
  const here: Surroundings = globalThis

  /** Looked for at each call: merely naming a blocked storage throws. */
  function storage(): Area {
    const found = area === 'local' ? here.localStorage : here.sessionStorage
    if (found === undefined) throw new Error('there is no Web Storage here')
    return found
  }

  return {
    name: `${area}Storage:${key}`,
    read: async () => storage().getItem(key),
    async swap(before, after) {
      const items = storage()
      if (items.getItem(key) !== before) return false
      try {
        items.setItem(key, after)
      } catch {
        // Full. What it is to replace makes room for it, since both are of about one size.
        items.removeItem(key)
        items.setItem(key, after)
      }
      return true
    },
  }
}
