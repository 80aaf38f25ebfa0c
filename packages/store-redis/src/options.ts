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
import type { RedisClient } from './client.js'

const REPLICA_OPTIONS = declareOptions({
  count: required(integer({ min: 1, max: 1000 })),
  // WAIT takes 0 for no limit, and then delays every other command of the connection.
  timeoutSeconds: required(
    rule<number>(
      'a number of seconds from 0.001 to 60',
      (value) => typeof value === 'number' && value >= 0.001 && value <= 60,
    ),
  ),
})

export const OPTIONS = declareOptions({
  /** The start of every key. Default `baton:`. Two apps on one server need two prefixes. */
  prefix: withDefault(text({ maxBytes: 64, fix: 'omit it for "baton:"' }), 'baton:'),
  /**
   * `issue` and `revoke` resolve only once this many replicas have the write, and reject if that takes longer: then a fail-over undoes
   * no sign-out. Rotations never wait, because Baton recovers from the loss of one. Default: none.
   */
  waitForReplicas: optional(nested(REPLICA_OPTIONS)),
})

export type RedisStoreOptions = OptionsOf<typeof OPTIONS>

const CLIENT = {
  option: 'client',
  expected:
    'a Redis or Cluster of ioredis, or a connected client of redis (createClient, createCluster or createSentinel)',
  methods: [['evalsha', 'evalSha']],
}

/** Asserts that `client` can run the commands of the store. */
export function assertRedisClient(client: unknown): asserts client is RedisClient {
  assertClient(client, CLIENT)
  if (('isPipeline' in client && client.isPipeline === true) || 'execAsPipeline' in client)
    throw new ConfigurationError('client', 'must not be a pipeline; pass the client that created it')
  const mode = 'mode' in client ? client.mode : undefined
  if (mode === 'subscriber' || mode === 'monitor')
    throw new ConfigurationError('client', `must not be in ${mode} mode; pass another connection, such as duplicate()`)
}
