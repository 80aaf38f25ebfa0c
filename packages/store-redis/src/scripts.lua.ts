import { createHash } from 'node:crypto'
import { REVOCATION_RETENTION_MS } from '@baton/core/store'
import { FORMAT } from './codec.js'

/** A script and the digest by which EVALSHA knows it. */
export interface Script {
  readonly lua: string
  readonly sha: string
}

const script = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') })

/*
 * Scripts compare and swap; they decide nothing. They return a record of another format unchanged: the codec rejects it or, if the format
 * is an earlier one, the store replaces the record with UPGRADE and repeats the call. KEYS[1] is the family, unless noted.
 *
 * Reads are scripts too, because drivers may send plain reads to replicas, and every path calls a write command, so that a replica
 * rejects with READONLY or NOREPLICAS: a family that a replica lacks would be unknown, and its user signed out. GETEX without options and
 * an empty range of ZREMRANGEBYSCORE change nothing and are not replicated.
 */

const FIELD = '[^|\\n]*'

/** Matches the record once: a loop over its fields costs the server twice as much. */
const READ_RECORD = `
local value = redis.call('GET', KEYS[1])
if not value then return redis.call('GETEX', KEYS[1]) end
local verifier, expires, limits, idle, absolute, keep, revocation, current, grant = string.match(value,
  '^${FORMAT}|(${FIELD})|(${FIELD})|((${FIELD})|(${FIELD})|(${FIELD}))|([^\\n]*)(\\n%[[^\\n]*%])(\\n%[.*%])$')
if not grant then return redis.call('GETEX', KEYS[1]) end
`

/** Returns the record. */
export const FIND = script(`return redis.call('GETEX', KEYS[1])`)

/**
 * ARGV: record, milliseconds to keep it. Returns the stored record. Writes one that was there again, so that WAIT after a repeated call
 * has a write to wait for.
 */
export const CREATE = script(`
local value = redis.call('GET', KEYS[1])
if not value then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
if string.sub(value, 1, ${String(FORMAT.length + 1)}) ~= '${FORMAT}|' then return redis.call('GETEX', KEYS[1]) end
redis.call('SET', KEYS[1], value, 'KEEPTTL')
return value
`)

/**
 * ARGV: expected verifier, now, and for a rotation the next verifier and the next current token. Keeps the record until it expires or
 * until keepUntil, whichever is later. Returns the stored record.
 */
export const ROTATE = script(`${READ_RECORD}
local now = tonumber(ARGV[2])
if verifier ~= ARGV[1] or revocation ~= '' or tonumber(expires) <= now then
  return redis.call('GETEX', KEYS[1])
end
expires = tonumber(absolute)
if idle ~= '' then expires = math.min(expires, now + tonumber(idle)) end
if ARGV[3] then
  verifier = ARGV[3]
  current = '\\n' .. ARGV[4]
end
value = '${FORMAT}|' .. verifier .. '|' .. string.format('%.0f', expires) .. '|' .. limits .. '|' .. current .. grant
local ttl = math.max(1, math.max(expires, tonumber(keep)) - now)
redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', ttl))
return value
`)

/** ARGV: revocation. Keeps the time to live. Returns the stored record, and writes it again as CREATE does. */
export const REVOKE = script(`${READ_RECORD}
if revocation == '' then revocation = ARGV[1] end
value = '${FORMAT}|' .. verifier .. '|' .. expires .. '|' .. limits .. '|' .. revocation .. current .. grant
redis.call('SET', KEYS[1], value, 'KEEPTTL')
return value
`)

/** ARGV: record in an earlier format, the same record in this one. Replaces the record if it is still the one that was read. */
export const UPGRADE = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.call('GETEX', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return ARGV[2]
`)

/**
 * KEYS: index of a subject. ARGV: entry, its score (absoluteExpiresAt), now, milliseconds to keep the entry. Removes expired entries.
 * The index lasts as long as its longest entry.
 */
export const ADD_ENTRY = script(`
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[4]))))
return 1
`)

/** KEYS: index of a subject. ARGV: now. Returns the entries whose families may be alive. */
export const LIST_ENTRIES = script(`
redis.call('ZREMRANGEBYSCORE', KEYS[1], '+inf', '-inf')
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf')
`)

const RETENTION = String(REVOCATION_RETENTION_MS)

/**
 * KEYS: log of revocations. ARGV: family, instant of its revocation. Moves the family to the end of the log, and removes what has been
 * listed for long enough. A position is at least the instant, so that positions increase also after a fail-over lost the last ones.
 */
export const LOG_REVOCATION = script(`
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
local position = tonumber(ARGV[2])
if last then position = math.max(position, tonumber(last) + 1) end
redis.call('ZADD', KEYS[1], string.format('%.0f', position), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', tonumber(ARGV[2]) - ${RETENTION}))
redis.call('PEXPIRE', KEYS[1], ${RETENTION})
return 1
`)

/** KEYS: log of revocations. ARGV: position, limit. Returns families after the position, each followed by its position. */
export const LIST_REVOKED = script(`
redis.call('ZREMRANGEBYSCORE', KEYS[1], '+inf', '-inf')
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
`)

/** KEYS: one-time key. ARGV: owner, milliseconds. Returns the owner of the key. */
export const CLAIM_ONCE = script(`
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return ARGV[1] end
return redis.call('GET', KEYS[1])
`)
