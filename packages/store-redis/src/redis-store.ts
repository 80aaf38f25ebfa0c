import type { FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { decodeCursor, toPage } from '@baton/core/store'
import { checkServers, type Finding } from './check.js'
import { commandsOf, type RedisClient } from './client.js'
import { decode, encode, encodeRevocation, encodeSuccession } from './codec.js'
import { demandClient, demandOptions, demandPrefix, quorumOf } from './demand.js'
import { familyOfEntry, indexEntry, keyspace } from './keys.js'
import { CREATE, ENTRIES, FIND, INDEX, REMEMBER, REVOKE, ROTATE } from './scripts.lua.js'

export interface RedisStoreOptions {
  /** Begins every key. Default `baton:`. Two apps on one server need two prefixes. */
  readonly prefix?: string
  /**
   * Issue and revoke answer only once this many replicas have the write, and fail when that takes longer: a fail-over then undoes no
   * sign-out. Rotations never wait, since Baton heals one that was lost. Default: none.
   */
  readonly waitForReplicas?: { readonly count: number; readonly timeoutSeconds: number }
}

export interface RedisStore extends TokenStore {
  /**
   * Names the settings of every server, and of the client, under which sessions can get lost, with what to do about each; an empty
   * list is good news. Where a server forbids the look, it says so. Call it at start-up; it changes nothing.
   */
  check(): Promise<Finding[]>
}

/**
 * Keeps families in Redis or Valkey, single, replicated or clustered, through a connected `ioredis` or `redis` client, which
 * stays yours to close. One script call per rotation; Redis itself removes what has died. As durable as the server's own
 * persistence: with `appendfsync everysec` a crash may lose a second or two of rotations, of which Baton heals one per family.
 *
 * Throws `TypeError` for anything but such a client, and for options that it does not know.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): RedisStore {
  demandClient(client)
  demandOptions(options)
  const { prefix = 'baton:', waitForReplicas } = options
  demandPrefix(prefix)
  const keys = keyspace(prefix)
  const { run, runReplicated } = commandsOf(client, quorumOf(waitForReplicas))
  const find = async (id: FamilyId) => recordIn(id, await run(FIND, keys.family(id)))

  /** The family of an index entry, if it lives and the entry is its own: one whose `create` lost has another's. */
  async function living(entry: string, subject: string, now: number): Promise<FamilyRecord | null> {
    const record = await find(familyOfEntry(entry))
    if (record === null || record.revocation !== null || record.expiresAt <= now) return null
    return record.subject === subject && indexEntry(record) === entry ? record : null
  }

  return {
    async create(record, now) {
      const { id, subject, absoluteExpiresAt, expiresAt, keepUntil } = record
      const text = encode(record)
      // The index comes first: an entry without its family is skipped, a family without its entry could not be revoked.
      const lasts = lasting(absoluteExpiresAt, now)
      await runReplicated(INDEX, keys.subject(subject), indexEntry(record), absoluteExpiresAt, now, lasts)
      const reply = await runReplicated(CREATE, keys.family(id), text, lasting(Math.max(expiresAt, keepUntil), now))
      const stored = recordIn(id, reply)
      if (stored === null) throw unexpected(reply)
      return stored
    },

    find,

    async rotate({ id, expect, next, now }) {
      const succession = next === null ? '' : encodeSuccession(next)
      return recordIn(id, await run(ROTATE, keys.family(id), expect, now, succession))
    },

    async revoke(id, revocation) {
      return recordIn(id, await runReplicated(REVOKE, keys.family(id), encodeRevocation(revocation)))
    },

    async list({ subject, cursor, limit, now }) {
      const end = cursor === undefined ? null : indexEntry(decodeCursor(cursor))
      const entries = await run(ENTRIES, keys.subject(subject), now)
      if (!isList(entries)) throw unexpected(entries)
      const rest = entries.filter((entry) => end === null || entry < end).sort()
      const found: FamilyRecord[] = []
      // Entries outlive their families, so a page may take more than one reading. One more than asked for tells whether more follow.
      while (rest.length > 0 && found.length <= limit) {
        const batch = rest.splice(-(limit + 1)).reverse()
        const records = await Promise.all(batch.map((entry) => living(entry, subject, now)))
        found.push(...records.filter((record) => record !== null))
      }
      return toPage(found, limit)
    },

    purge() {
      // Every key carries its own time to live.
      return Promise.resolve(0)
    },

    async remember({ key, by, expiresAt }, now) {
      const reply = await run(REMEMBER, keys.remembered(key), by, lasting(expiresAt, now))
      if (typeof reply !== 'string') throw unexpected(reply)
      return reply
    },

    check: () => checkServers(client),
  }
}

/** Relative, so that the server's clock need not agree with ours. */
function lasting(until: number, now: number): number {
  return Math.max(1, Math.ceil(until - now))
}

/** Null means that there is no record: nothing but null may be read so. */
function recordIn(id: FamilyId, reply: unknown): FamilyRecord | null {
  if (reply === null) return null
  if (typeof reply !== 'string') throw unexpected(reply)
  return decode(id, reply)
}

function isList(reply: unknown): reply is string[] {
  return Array.isArray(reply) && reply.every((entry) => typeof entry === 'string')
}

function unexpected(reply: unknown): TypeError {
  const kind = Buffer.isBuffer(reply) ? 'a Buffer' : `a reply of type ${typeof reply}`
  return new TypeError(
    `redisStore: the client answered with ${kind}; give a client that answers with promises of strings, without a type mapping`,
  )
}
