import { createHash } from 'node:crypto'
import { FORMAT } from './codec.js'

/** A script and the digest by which EVALSHA knows it. */
export interface Script {
  readonly lua: string
  readonly sha: string
}

const script = (lua: string): Script => ({ lua, sha: createHash('sha1').update(lua).digest('hex') })

/*
 * Scripts compare and swap; they decide nothing. What another version wrote is returned as it is and never rewritten: the codec
 * then refuses it with a message. Reads are scripts too: drivers may send plain reads to replicas, which know less.
 */

const FOREIGN = `string.sub(value, 1, ${String(FORMAT.length + 1)}) ~= '${FORMAT}|'`

const READ_HEAD = `
local value = redis.call('GET', KEYS[1])
if not value then return false end
if ${FOREIGN} then return value end
local head, body = string.match(value, '^([^\\n]*)(\\n%[.*%])$')
if not head then return value end
local f = {}
for field in string.gmatch(head .. '|', '([^|]*)|') do f[#f + 1] = field end
if #f ~= 12 then return value end
`

/** KEYS: family. Returns the record. */
export const FIND = script(`return redis.call('GET', KEYS[1])`)

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
if ${FOREIGN} then return value end
redis.call('SET', KEYS[1], value, 'KEEPTTL')
return value
`)

/**
 * KEYS: family. ARGV: expected verifier, now, succession or '' to renew. The record lasts until its end or keepUntil, whichever is
 * later. Returns it as it stands.
 */
export const ROTATE = script(`${READ_HEAD}
local now = tonumber(ARGV[2])
if f[2] ~= ARGV[1] or f[12] ~= '' or tonumber(f[8]) <= now then return value end
local ends = tonumber(f[10])
if f[9] ~= '' then ends = math.min(ends, now + tonumber(f[9])) end
f[8] = string.format('%.0f', ends)
local succession = ARGV[3]
if succession == '' then succession = table.concat(f, '|', 2, 7) end
value = f[1] .. '|' .. succession .. '|' .. table.concat(f, '|', 8, 12) .. body
local lasts = math.max(1, math.max(ends, tonumber(f[11])) - now)
redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', lasts))
return value
`)

/** KEYS: family. ARGV: revocation. Keeps the time to live, and writes what stands where there is one already, as CREATE does. */
export const REVOKE = script(`${READ_HEAD}
if f[12] == '' then f[12] = ARGV[1] end
value = table.concat(f, '|') .. body
redis.call('SET', KEYS[1], value, 'KEEPTTL')
return value
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
export const ENTRIES = script(`return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf')`)

/** KEYS: remembered key. ARGV: whose it shall be, milliseconds. Returns whose it is. */
export const REMEMBER = script(`
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return ARGV[1] end
return redis.call('GET', KEYS[1])
`)
