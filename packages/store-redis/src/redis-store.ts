import type { FamilyId, FamilyRecord, TokenStore } from '@baton/core'
import * as o from '@baton/core/options'
import { decodeCursor, decodeLogCursor, encodeLogCursor, isAlive, positionOf, toPage } from '@baton/core/store'
import { checkServers, type Finding } from './check.js'
import { assertRedisClient, createRunners, type RedisClient, type Run } from './client.js'
import { assertNoSeparator, decode, encode, encodeCurrent, isEarlierFormat } from './codec.js'
import { familyOfEntry, indexEntry, keyspace } from './keys.js'
import * as scripts from './scripts.lua.js'
import type { Script } from './scripts.lua.js'

const REPLICA_OPTIONS = o.declareOptions({
  /** How many replicas must confirm a write: 1 to 1000. */
  count: o.required(o.integer({ min: 1, max: 1000 })),
  /** How long to wait for them, in seconds: 0.001 to 60. Choose less than `storeTimeoutSeconds` of `createRefreshTokens`. */
  // WAIT takes 0 for no limit, and then delays every other command of the connection.
  timeoutSeconds: o.required(
    o.rule<number>(
      'a number of seconds from 0.001 to 60',
      (value) => typeof value === 'number' && value >= 0.001 && value <= 60,
    ),
  ),
})

const OPTIONS = o.declareOptions({
  /** The prefix of every key, of 1 to 64 bytes. Two apps on one server need different prefixes. Default `baton:`. */
  prefix: o.withDefault(o.text({ maxBytes: 64, fix: 'omit it for "baton:"' }), 'baton:'),
  /**
   * The number of replicas that must have confirmed a write (`WAIT`) before `issue` and `revoke` resolve, so that a fail-over does not undo
   * a sign-out. The calls reject after `timeoutSeconds`. Rotations never wait, because Baton recovers from the loss of one. Default: none.
   */
  waitForReplicas: o.optional(o.nested(REPLICA_OPTIONS)),
})

export type RedisStoreOptions = o.OptionsOf<typeof OPTIONS>

export interface RedisStore extends TokenStore {
  /**
   * Returns the settings of the servers and of the client with which sessions can be lost, and the commands that a server forbids, each
   * with advice. Returns an empty list if there are none. Call it at start-up. It changes nothing.
   */
  check(): Promise<Finding[]>
}

/**
 * Stores families in Redis or Valkey, single, replicated or clustered, through a connected `ioredis` or `redis` client, which the app
 * closes. One script call per rotation; Redis deletes expired records. As durable as the server's persistence: with
 * `appendfsync everysec` a crash may lose a second or two of rotations, of which Baton recovers one per family.
 *
 * Throws `ConfigurationError` if `client` is no such client, and for unknown or invalid options.
 *
 * @example
 * ```ts
 * import { redisStore } from '@baton/store-redis'
 * import { Redis } from 'ioredis'
 *
 * const store = redisStore(new Redis('redis://localhost:6379'))
 * for (const { setting, value, advice } of await store.check()) console.warn(setting, value, advice)
 * ```
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): RedisStore {
  assertRedisClient(client)
  const { prefix, waitForReplicas } = OPTIONS.parse('redisStore', options)
  const keys = keyspace(prefix)
  const { run, runReplicated } = createRunners(client, waitForReplicas)
  const find = async (id: FamilyId) => toRecord(id, await run(scripts.FIND, keys.family(id)))

  /** Runs a script that writes one family. Replaces a record in an earlier format first, once, with a separate script. */
  async function write(runScript: Run, script: Script, id: FamilyId, ...args: (string | number)[]) {
    const key = keys.family(id)
    const reply = await runScript(script, key, ...args)
    if (typeof reply !== 'string' || !isEarlierFormat(reply)) return toRecord(id, reply)
    await runScript(scripts.UPGRADE, key, reply, encode(decode(id, reply)))
    return toRecord(id, await runScript(script, key, ...args))
  }

  /**
   * Logs the revocation before and after the write, because the log and the family may be on two nodes of a cluster: before, so that it is
   * listed if this process ends in between, and after, for readers that found the family not yet revoked.
   */
  async function logged(
    { id, revocation }: Pick<FamilyRecord, 'id' | 'revocation'>,
    revoke: () => Promise<FamilyRecord | null>,
  ) {
    if (revocation === null) return revoke()
    const log = (runScript: Run) => runScript(scripts.LOG_REVOCATION, keys.revocations, id, revocation.at)
    await log(run)
    const record = await revoke()
    if (record !== null && record.revocation !== null) await log(runReplicated)
    return record
  }

  /** Returns the family of an index entry if it is active. A `create` that lost a race leaves an entry with the values of another record. */
  async function findListed(entry: string, subject: string, now: number): Promise<FamilyRecord | null> {
    const record = await find(familyOfEntry(entry))
    if (record === null || !isAlive(record, now)) return null
    return record.grant.subject === subject && indexEntry(positionOf(record)) === entry ? record : null
  }

  return {
    async create(record, now) {
      const { id, grant, lifetime, expiresAt } = record
      const { absoluteExpiresAt, keepUntil } = lifetime
      const encoded = encode(record)
      // The index is written first: an entry without a family is skipped, but a family without an entry could not be listed and revoked.
      const index = keys.subject(grant.subject)
      const entry = indexEntry(positionOf(record))
      await runReplicated(scripts.ADD_ENTRY, index, entry, absoluteExpiresAt, now, timeToLive(absoluteExpiresAt, now))
      const ttl = timeToLive(Math.max(expiresAt, keepUntil), now)
      const stored = await logged(record, () => write(runReplicated, scripts.CREATE, id, encoded, ttl))
      if (stored === null) throw unexpectedReply(stored)
      return stored
    },

    find,

    async rotate({ id, expect, next, now }) {
      const successor = next === null ? [] : [assertNoSeparator(next.verifier), encodeCurrent(next)]
      return write(run, scripts.ROTATE, id, expect, now, ...successor)
    },

    async revoke(id, revocation) {
      return logged({ id, revocation }, () => write(runReplicated, scripts.REVOKE, id, JSON.stringify(revocation)))
    },

    async list({ subject, cursor, limit, now }) {
      const before = cursor === undefined ? null : indexEntry(decodeCursor(cursor))
      const entries = await run(scripts.LIST_ENTRIES, keys.subject(subject), now)
      if (!Array.isArray(entries) || entries.some((entry) => typeof entry !== 'string')) throw unexpectedReply(entries)
      const rest = (entries as string[]).filter((entry) => before === null || entry < before).sort()
      const found: FamilyRecord[] = []
      // Entries outlive their families, so a page may take several reads. One record beyond the limit shows that another page follows.
      while (rest.length > 0 && found.length <= limit) {
        const batch = rest.splice(-(limit + 1)).reverse()
        const records = await Promise.all(batch.map((entry) => findListed(entry, subject, now)))
        found.push(...records.filter((record) => record !== null))
      }
      return toPage(found, limit)
    },

    async listRevoked(query) {
      const from = decodeLogCursor(query)
      const reply = await run(scripts.LIST_REVOKED, keys.revocations, from, query.limit)
      const entries = pairsOf(reply)
      const records = await Promise.all(entries.map(([id]) => find(id)))
      return {
        // A family that does not exist has no valid access token.
        items: records.flatMap((record) =>
          record?.revocation ? { id: record.id, revokedAt: record.revocation.at } : [],
        ),
        cursor: encodeLogCursor(entries.at(-1)?.[1] ?? from),
        hasMore: entries.length === query.limit,
      }
    },

    /** Deletes nothing, because every key has a time to live. */
    purge: () => Promise.resolve(0),

    async claimOnce({ key, owner, expiresAt }, now) {
      const reply = await run(scripts.CLAIM_ONCE, keys.oneTimeKey(key), owner, timeToLive(expiresAt, now))
      if (typeof reply !== 'string') throw unexpectedReply(reply)
      return reply
    },

    check: () => checkServers(client),
  }
}

/** Returns milliseconds from now: relative, so that the clock of the server does not matter. */
function timeToLive(expiresAt: number, now: number): number {
  return Math.max(1, Math.ceil(expiresAt - now))
}

/** Only null means that there is no record. Throws for any other reply that is not a record. */
function toRecord(id: FamilyId, reply: unknown): FamilyRecord | null {
  if (reply === null) return null
  if (typeof reply !== 'string') throw unexpectedReply(reply)
  return decode(id, reply)
}

/** Returns the families of a reply of `LIST_REVOKED` and their positions. */
function pairsOf(reply: unknown): [FamilyId, number][] {
  if (!Array.isArray(reply) || reply.some((part) => typeof part !== 'string')) throw unexpectedReply(reply)
  const parts = reply as string[]
  return parts.flatMap((id, index) => (index % 2 === 0 ? [[id as FamilyId, Number(parts[index + 1])]] : []))
}

function unexpectedReply(reply: unknown): TypeError {
  const kind = Buffer.isBuffer(reply) ? 'a Buffer' : `a reply of type ${typeof reply}`
  return new TypeError(
    `redisStore: the client returned ${kind}; pass a client that returns promises of strings, without a type mapping`,
  )
}
