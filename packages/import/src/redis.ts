import type { ForeignTokens } from '@baton/core'
import { type GrantFields, grantOf, identifierOf, type ImportOptions } from './grants.js'

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

export interface RedisTokensOptions extends ImportOptions {
  /**
   * The form of the old system's tokens, from `^` to `$`, such as `/^[0-9a-f]{80}$/`. Other text is rejected without a look-up, so
   * that no other key under the prefix, such as `refresh:count`, is taken for a token.
   */
  readonly matches: RegExp
  /** A connected client of ioredis or node-redis. */
  readonly client: IoRedisReads | NodeRedisReads
  /** Where a token's value stands. Default `refresh:<token>`. */
  readonly key?: (token: string) => string
  /** What the value says; null refuses the token. Default: the value is the subject. */
  readonly grant?: (value: string, token: string) => GrantFields | null
  /** What happens to the key once its token has been exchanged. Default `delete`. */
  readonly moved?: 'delete' | 'keep'
  /** Epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number
}

/**
 * Accepts tokens from Redis, one key each, as `refresh:<token>`. A token ends when its key does; keys without an end need `until`.
 * Throws `TypeError` for options that cannot work.
 */
export function redisTokens(options: RedisTokensOptions): ForeignTokens {
  const { client, now = Date.now, moved = 'delete' } = options
  const { key = (token: string) => `refresh:${token}`, grant = (subject: string): GrantFields => ({ subject }) } =
    options
  if (typeof (client as Partial<RedisReads> | undefined)?.get !== 'function')
    throw new TypeError('redisTokens: client has no get(); give a client of ioredis or node-redis')
  if ((options.matches as unknown) === undefined)
    throw new TypeError(
      'option "matches" is required: without it, other keys such as refresh:count are taken for tokens; give the form of your tokens, such as /^[0-9a-f]{80}$/',
    )

  return {
    identify: identifierOf(options),
    async find(token) {
      const place = key(token)
      const value = await client.get(place)
      if (value === null) return null
      if (typeof value !== 'string') throw new Error('redisTokens: the client gave no text; turn buffers off')
      const milliseconds = await ('pttl' in client ? client.pttl(place) : client.pTTL(place))
      const hasEnded = milliseconds === -2
      const fields = hasEnded ? null : grant(value, token)
      if (fields === null) return null
      const expiresAt = fields.expiresAt ?? (milliseconds === -1 ? null : now() + milliseconds)
      return grantOf({ ...fields, expiresAt }, options)
    },
    ...(moved === 'delete' ? { moved: (token) => client.del(key(token)) } : {}),
  }
}
