import type { LegacyTokenSource } from '@baton/core'
import { func, objectWith, oneOf, type OptionsOf, required, withDefault } from '@baton/core/options'
import { type GrantFields, grantOf, identifierOf, importOptions } from './grants.js'

interface RedisReads {
  get(key: string): Promise<unknown>
  del(key: string): Promise<unknown>
}

/** What is needed of ioredis. */
export interface IoRedisReads extends RedisReads {
  pttl(key: string): Promise<number>
}

/** What is needed of node-redis. */
export interface NodeRedisReads extends RedisReads {
  pTTL(key: string): Promise<number>
}

const redisTokensOptions = importOptions.extend({
  /**
   * The form of the old tokens, from `^` to `$`, such as `/^[0-9a-f]{80}$/`. Other text is rejected without a look-up, so that no other
   * key under the prefix, such as `refresh:count`, is taken for a token.
   */
  matches: required(importOptions.fields.matches.rule),
  /** A connected client of ioredis or node-redis. */
  client: required(
    objectWith<IoRedisReads | NodeRedisReads>(['get', 'del'], 'a connected client of ioredis or node-redis'),
  ),
  /** Returns the key of a token. Default: `refresh:<token>`. */
  key: withDefault(func<(token: string) => string>(), (token) => `refresh:${token}`),
  /** Converts the value of the key to a grant; null rejects the token. Default: the value is the subject. */
  grant: withDefault(func<(value: string, token: string) => GrantFields | null>(), (subject) => ({ subject })),
  /** `delete` (default) deletes the key after its token was exchanged. */
  moved: withDefault(oneOf('delete', 'keep'), 'delete'),
  /** Epoch milliseconds. Default: `Date.now`. */
  now: withDefault(func<() => number>(), Date.now),
})

export type RedisTokensOptions = OptionsOf<typeof redisTokensOptions>

/**
 * Accepts tokens from Redis, one key each, as `refresh:<token>`. A token expires with its key; keys that do not expire need `until`.
 * Throws `ConfigurationError` for unknown, missing or invalid options.
 *
 * @example
 * ```ts
 * import { redisTokens } from '@baton/import'
 * import { Redis } from 'ioredis'
 *
 * const legacyTokens = redisTokens({ client: new Redis(), matches: /^[0-9a-f]{80}$/ })
 * ```
 */
export function redisTokens(options: RedisTokensOptions): LegacyTokenSource {
  const parsed = redisTokensOptions.parse('redisTokens', options)
  const { client, now, moved, key, grant } = parsed
  return {
    normalize: identifierOf(parsed),
    async lookup(token) {
      const place = key(token)
      const value = await client.get(place)
      if (value === null) return null
      if (typeof value !== 'string') throw new Error('redisTokens: the client did not return text; turn buffers off')
      const milliseconds = await ('pttl' in client ? client.pttl(place) : client.pTTL(place))
      const hasEnded = milliseconds === -2
      const fields = hasEnded ? null : grant(value, token)
      if (fields === null) return null
      const expiresAt = fields.expiresAt ?? (milliseconds === -1 ? null : now() + milliseconds)
      return grantOf({ ...fields, expiresAt }, parsed)
    },
    ...(moved === 'delete' ? { onMigrated: (token) => client.del(key(token)) } : {}),
  }
}
