import { createHash } from 'node:crypto'
import { FORMAT } from './codec.js'

/** A script and the digest by which EVALSHA knows it. */
export interface Script {
  readonly lua: string
  readonly sha: string
}

const script = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') })

/*
 * Scripts compare and swap; they decide nothing. What another version wrote is returned as it is: the codec rejects it with a message
 * or, where it is an earlier format, the store replaces it with UPGRADE and repeats the call. Reads are scripts too: drivers may send plain reads to replicas, which know less.
 *
 * No script answers on a replica, not even on one that was the primary a moment ago: what it does not have would count as unknown and
 * sign a user out. Every path therefore calls a write command, and a server that takes no writes rejects with READONLY or NOREPLICAS.
 * GETEX without options and an empty range of ZREMRANGEBYSCORE change nothing and are not replicated.
 */

const FOREIGN = `string.sub(value, 1, ${String(FORMAT.length + 1)}) ~= '${FORMAT}|'`

const FIELD = '[^|\\n]*'

/** Takes the record apart in one match: a loop over its fields costs the server twice as much. */
const READ_RECORD = `
local value = redis.call('GET', KEYS[1])
if not value then return redis.call('GETEX', KEYS[1]) end
local verifier, ends, limits, idle, absolute, kept, revocation, current, grant = string.match(value,
  '^${FORMAT}|(${FIELD})|(${FIELD})|((${FIELD})|(${FIELD})|(${FIELD}))|([^\\n]*)(\\n%[[^\\n]*%])(\\n%[.*%])$')
if not grant then return redis.call('GETEX', KEYS[1]) end
`

/** KEYS: family. Returns the record. */
export const FIND = script(`return redis.call('GETEX', KEYS[1])`)

/**
 * KEYS: family. ARGV: record, milliseconds to keep it. Returns the record as it stands. One that was there is written again, so that
 * WAIT after a repeated call has something to wait for.
 */
export const CREATE = script(`
local value = redis.call('GET', KEYS[1])
if not value then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
if ${FOREIGN} then return redis.call('GETEX', KEYS[1]) end
redis.call('SET', KEYS[1], value, 'KEEPTTL')
return value
`)

/**
 * KEYS: family. ARGV: expected verifier, now, then nothing to renew, or the next verifier and the next current token. The record
 * lasts until its end or keepUntil, whichever is later. Returns it as it stands.
 */
export const ROTATE = script(`${READ_RECORD}
local now = tonumber(ARGV[2])
if verifier ~= ARGV[1] or revocation ~= '' or tonumber(ends) <= now then
  return redis.call('GETEX', KEYS[1])
end
ends = tonumber(absolute)
if idle ~= '' then ends = math.min(ends, now + tonumber(idle)) end
if ARGV[3] then
  verifier = ARGV[3]
  current = '\\n' .. ARGV[4]
end
value = '${FORMAT}|' .. verifier .. '|' .. string.format('%.0f', ends) .. '|' .. limits .. '|' .. current .. grant
local lasts = math.max(1, math.max(ends, tonumber(kept)) - now)
redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', lasts))
return value
`)

/** KEYS: family. ARGV: revocation. Keeps the time to live, and writes what stands where there is one already, as CREATE does. */
export const REVOKE = script(`${READ_RECORD}
if revocation == '' then revocation = ARGV[1] end
value = '${FORMAT}|' .. verifier .. '|' .. ends .. '|' .. limits .. '|' .. revocation .. current .. grant
redis.call('SET', KEYS[1], value, 'KEEPTTL')
return value
`)

/** KEYS: family. ARGV: record in an earlier format, the same record in this one. Replaces it, if it is still the one that was read. */
export const UPGRADE = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.call('GETEX', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return ARGV[2]
`)

/**
 * KEYS: index of a subject. ARGV: entry, its score (the absolute end), now, milliseconds that the entry must last. Entries past
 * their score go on the way; the index itself lasts as long as its longest-lived entry.
 */
export const INDEX = script(`
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[4]))))
return 1
`)

/** KEYS: index of a subject. ARGV: now. Returns the entries whose families may still live. */
export const ENTRIES = script(`
redis.call('ZREMRANGEBYSCORE', KEYS[1], '+inf', '-inf')
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf')
`)

/** KEYS: remembered key. ARGV: whose it shall be, milliseconds. Returns whose it is. */
export const REMEMBER = script(`
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return ARGV[1] end
return redis.call('GET', KEYS[1])
`)
