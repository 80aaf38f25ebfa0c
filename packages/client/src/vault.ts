import { parse, type SessionRecord } from './record.js'
import type { Setup } from './setup.js'

/** The stored session. Never rejects: a page whose storage fails goes on with what it knows. */
export interface Vault {
  read(): Promise<SessionRecord | null>
  /** Stores what `revise` makes of what is stored, however often that changes meanwhile, and resolves with it; null leaves it. */
  change<Revised extends SessionRecord | null>(revise: (record: SessionRecord | null) => Revised): Promise<Revised>
}

export function createVault({ storage, endpoints, emit }: Setup): Vault {
  /** What was found in the storage. */
  let found: string | null = null
  /** What is stored, for us: something else, where it could not be written. */
  let stored: string | null = null

  async function read(): Promise<string | null> {
    try {
      const text = await storage.read()
      if (text !== found) found = stored = text
    } catch (error) {
      // A storage that cannot be read has not been emptied.
      emit('storageFailed', { error })
    }
    return stored
  }

  async function swap(before: string | null, after: string): Promise<boolean> {
    try {
      if (!(await storage.swap(before === stored ? found : before, after))) return false
      found = after
    } catch (error) {
      emit('storageFailed', { error })
      if (before !== stored) return false
    }
    stored = after
    return true
  }

  return {
    read: async () => parse(await read()),
    async change(revise) {
      for (;;) {
        const text = await read()
        const revised = revise(parse(text))
        if (!revised) return revised
        if (!(await swap(text, JSON.stringify(revised, endpoints.withhold)))) continue
        // What nobody knows is no news.
        if (revised.session.state !== 'unknown') storage.announce?.()
        return revised
      }
    },
  }
}
