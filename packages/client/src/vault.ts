import { parse, serialize, type SessionRecord } from './record.js'
import type { SessionStorage } from './storage.js'

/** The stored session, for whoever changes it outside of a refresh. */
export interface Vault {
  read(): Promise<SessionRecord | null>
  /** Stores what `revise` makes of what is stored, however often that changes meanwhile; null leaves it. */
  change(revise: (record: SessionRecord | null) => SessionRecord | null): Promise<void>
}

export function createVault(storage: SessionStorage): Vault {
  return {
    read: async () => parse(await storage.read()),
    async change(revise) {
      for (;;) {
        const text = await storage.read()
        const revised = revise(parse(text))
        if (revised === null || (await storage.swap(text, serialize(revised)))) return
      }
    },
  }
}
