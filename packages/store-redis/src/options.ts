import { ConfigurationError } from '@baton/core'
import {
  declareOptions,
  integer,
  nested,
  optional,
  type OptionsOf,
  required,
  rule,
  text,
  withDefault,
} from '@baton/core/options'
import { assertClient } from '@baton/core/store'
import type { RedisClient, ReplicaQuorum } from './client.js'

const replicaOptions = declareOptions({
  count: required(integer({ min: 1, max: 1000 })),
  // WAIT takes 0 for no limit, and then delays every other command of the connection.
  timeoutSeconds: required(
    rule<number>(
      'a number of seconds from 0.001 to 60',
      (value) => typeof value === 'number' && value >= 0.001 && value <= 60,
    ),
  ),
})

export const redisOptions = declareOptions({
  /** The start of every key. Default `baton:`. Two apps on one server need two prefixes. */
  prefix: withDefault(text({ maxBytes: 64, fix: 'omit it for "baton:"' }), 'baton:'),
  /**
   * Issue and revoke resolve only once this many replicas have the write, and reject if that takes longer: then a fail-over undoes no
   * sign-out. Rotations never wait, since Baton heals one that was lost. Default: none.
   */
  waitForReplicas: optional(nested(replicaOptions)),
})

export type RedisStoreOptions = OptionsOf<typeof redisOptions>

export function toQuorum(waitForReplicas: RedisStoreOptions['waitForReplicas']): ReplicaQuorum | null {
  if (waitForReplicas === undefined) return null
  const { count, timeoutSeconds } = waitForReplicas
  return { count, timeoutMs: Math.round(timeoutSeconds * 1000) }
}

const CLIENT = {
  option: 'client',
  expected:
    'a Redis or Cluster of ioredis, or a connected client of redis (createClient, createCluster or createSentinel)',
  methods: [['evalsha', 'evalSha']],
}

/** Asserts that `client` can run the commands of the store. */
export function assertRedisClient(client: unknown): asserts client is RedisClient {
  assertClient(client, CLIENT)
  const { isPipeline, execAsPipeline, mode } = client as Suspect
  if (isPipeline === true || typeof execAsPipeline === 'function')
    throw new ConfigurationError('client', 'must not be a pipeline; pass the client that created it')
  if (mode === 'subscriber' || mode === 'monitor')
    throw new ConfigurationError('client', `must not be in ${mode} mode; pass another connection, such as duplicate()`)
}

interface Suspect {
  readonly isPipeline?: unknown
  readonly execAsPipeline?: unknown
  readonly mode?: unknown
}
