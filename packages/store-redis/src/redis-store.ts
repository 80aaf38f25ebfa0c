import type { FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { commandsOf, type IoRedisClient, type NodeRedisClient } from './client.js'
import { decode, encode, encodeRevocation, encodeSuccession } from './codec.js'
import { familyOfEntry, indexEntry, keyspace } from './keys.js'
import { CREATE, ENTRIES, INDEX, REMEMBER, REVOKE, ROTATE } from './scripts.lua.js'

export interface RedisStoreOptions {
  /** Begins every key. Default `baton:`. Two apps on one server need two prefixes. */
  readonly prefix?: string
}

/**
 * Keeps families in Redis or Valkey, single, replicated or clustered, through a connected `ioredis` or `redis` client, which
 * stays yours to close. One script call per rotation; Redis itself removes what has died. As durable as the server's own
 * persistence: with `appendfsync everysec` a crash may lose a second of rotations, of which Baton heals one per family.
 */
export function redisStore(client: IoRedisClient | NodeRedisClient, options: RedisStoreOptions = {}): TokenStore {
  const keys = keyspace(options.prefix ?? 'baton:')
  const { get, run } = commandsOf(client)

  const recordOf = (id: FamilyId, reply: unknown): FamilyRecord | null =>
    typeof reply === 'string' ? decode(id, reply) : null
  const find = async (id: FamilyId) => recordOf(id, await get(keys.family(id)))

  return {
    async create(record, now) {
      const { id, subject, createdAt, absoluteExpiresAt, expiresAt, keepUntil } = record
      // The index comes first: an entry without its family is skipped, a family without its entry could not be revoked.
      const entry = indexEntry(createdAt, id)
      await run(INDEX, keys.subject(subject), entry, absoluteExpiresAt, now, lasting(absoluteExpiresAt, now))
      const reply = await run(CREATE, keys.family(id), encode(record), lasting(Math.max(expiresAt, keepUntil), now))
      return decode(id, String(reply))
    },

    find,

    async rotate({ id, expect, next, now }) {
      const succession = next === null ? '' : encodeSuccession(next)
      return recordOf(id, await run(ROTATE, keys.family(id), expect, now, succession))
    },

    async revoke(id, revocation) {
      return recordOf(id, await run(REVOKE, keys.family(id), encodeRevocation(revocation)))
    },

    async list({ subject, cursor, limit, now }) {
      const entries = await run(ENTRIES, keys.subject(subject), now)
      const candidates = (entries as string[]).sort().reverse()
      const rest = cursor === undefined ? candidates : candidates.filter((entry) => entry < cursor)
      const items: FamilyRecord[] = []
      // Entries outlive their families by up to the idle limit, so a page may take more than one reading.
      for (let at = 0; at < rest.length; at += limit) {
        const batch = rest.slice(at, at + limit)
        const records = await Promise.all(batch.map((entry) => find(familyOfEntry(entry))))
        for (const [index, record] of records.entries()) {
          if (record === null || record.subject !== subject || record.revocation !== null || record.expiresAt <= now)
            continue
          items.push(record)
          if (items.length < limit) continue
          const last = batch[index]
          return { items, cursor: last === rest.at(-1) || last === undefined ? null : last }
        }
      }
      return { items, cursor: null }
    },

    purge() {
      // Every key carries its own time to live.
      return Promise.resolve(0)
    },

    async remember(key, expiresAt, now) {
      return (await run(REMEMBER, keys.remembered(key), lasting(expiresAt, now))) === 1
    },
  }
}

/** Relative, so that the server's clock need not agree with ours. */
function lasting(until: number, now: number): number {
  return Math.max(1, Math.ceil(until - now))
}
