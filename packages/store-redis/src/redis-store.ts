import type { FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import { decodeCursor, isAlive, positionOf, toPage } from '@baton/core/store'
import { checkServers, type Finding } from './check.js'
import { commandsOf, type RedisClient, type Run } from './client.js'
import { decode, encode, encodeCurrent, isEarlierFormat, plain } from './codec.js'
import { familyOfEntry, indexEntry, keyspace } from './keys.js'
import { assertRedisClient, redisOptions, type RedisStoreOptions, toQuorum } from './options.js'
import { CREATE, ENTRIES, FIND, INDEX, REMEMBER, REVOKE, ROTATE, type Script, UPGRADE } from './scripts.lua.js'

export interface RedisStore extends TokenStore {
  /**
   * Returns the settings of every server, and of the client, with which sessions can be lost, and what to do about each; an empty list
   * if there are none. Reports commands that a server forbids. Call it at start-up; it changes nothing.
   */
  check(): Promise<Finding[]>
}

/**
 * Stores families in Redis or Valkey, single, replicated or clustered, through a connected `ioredis` or `redis` client, which the app
 * closes. One script call per rotation; Redis deletes expired records. As durable as the server's persistence: with
 * `appendfsync everysec` a crash may lose a second or two of rotations, of which Baton heals one per family.
 *
 * Throws `ConfigurationError` unless `client` is such a client, and for unknown or invalid options.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): RedisStore {
  assertRedisClient(client)
  const { prefix, waitForReplicas } = redisOptions.parse('redisStore', options)
  const keys = keyspace(prefix)
  const { run, runReplicated } = commandsOf(client, toQuorum(waitForReplicas))
  const find = async (id: FamilyId) => recordIn(id, await run(FIND, keys.family(id)))

  /** Runs a script that writes to one family. A record in an earlier format is replaced first, in a step of its own, once. */
  async function write(send: Run, script: Script, id: FamilyId, ...args: (string | number)[]) {
    const key = keys.family(id)
    const reply = await send(script, key, ...args)
    if (typeof reply !== 'string' || !isEarlierFormat(reply)) return recordIn(id, reply)
    await send(UPGRADE, key, reply, encode(decode(id, reply)))
    return recordIn(id, await send(script, key, ...args))
  }

  /** Returns the family of an index entry if it is alive and the entry is its own; a `create` that lost leaves another entry. */
  async function living(entry: string, subject: string, now: number): Promise<FamilyRecord | null> {
    const record = await find(familyOfEntry(entry))
    if (record === null || !isAlive(record, now)) return null
    return record.grant.subject === subject && indexEntry(positionOf(record)) === entry ? record : null
  }

  return {
    async create(record, now) {
      const { id, grant, lifetime, expiresAt } = record
      const { absoluteExpiresAt, keepUntil } = lifetime
      const text = encode(record)
      // The index first: an entry without a family is skipped, but a family without an entry could not be listed and revoked.
      const lasts = lasting(absoluteExpiresAt, now)
      const index = keys.subject(grant.subject)
      await runReplicated(INDEX, index, indexEntry(positionOf(record)), absoluteExpiresAt, now, lasts)
      const stored = await write(runReplicated, CREATE, id, text, lasting(Math.max(expiresAt, keepUntil), now))
      if (stored === null) throw unexpected(stored)
      return stored
    },

    find,

    async rotate({ id, expect, next, now }) {
      const successor = next === null ? [] : [plain(next.verifier), encodeCurrent(next)]
      return write(run, ROTATE, id, expect, now, ...successor)
    },

    async revoke(id, revocation) {
      return write(runReplicated, REVOKE, id, JSON.stringify(revocation))
    },

    async list({ subject, cursor, limit, now }) {
      const end = cursor === undefined ? null : indexEntry(decodeCursor(cursor))
      const entries = await run(ENTRIES, keys.subject(subject), now)
      if (!isList(entries)) throw unexpected(entries)
      const rest = entries.filter((entry) => end === null || entry < end).sort()
      const found: FamilyRecord[] = []
      // Entries outlive their families, so a page may take several reads. One record beyond the limit shows that another page follows.
      while (rest.length > 0 && found.length <= limit) {
        const batch = rest.splice(-(limit + 1)).reverse()
        const records = await Promise.all(batch.map((entry) => living(entry, subject, now)))
        found.push(...records.filter((record) => record !== null))
      }
      return toPage(found, limit)
    },

    purge() {
      // Every key has a time to live.
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

/** Returns a time to live. It is relative, so that the clock of the server does not matter. */
function lasting(until: number, now: number): number {
  return Math.max(1, Math.ceil(until - now))
}

/** Only null means that there is no record; any other reply that is not a record throws. */
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
