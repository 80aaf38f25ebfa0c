import { startRedis, askRedis, type RedisServer, type RedisServerOptions } from './redis.js'
import { loopback } from './ports.js'
import { until } from './until.js'

export interface RedisPair {
  readonly primary: RedisServer
  readonly replica: RedisServer
  /** Resolves when the replica has all writes that the primary had accepted at the call. */
  caughtUp(): Promise<void>
  /**
   * Makes the replica a primary. The old primary runs until it is killed. The new primary does not receive its later writes.
   */
  promote(): Promise<void>
  stop(): Promise<void>
}

/** Starts a primary and its replica, and resolves when the replica has caught up. Never uses `REDIS_URL`. */
export async function startRedisPair(options: Omit<RedisServerOptions, 'port' | 'dir'> = {}): Promise<RedisPair> {
  const primary = await startRedis(options)
  const replica = await startRedis({
    ...options,
    settings: { ...options.settings, replicaof: `${loopback} ${primary.port}` },
  }).catch(async (error: unknown) => {
    await primary.stop()
    throw error
  })
  const stop = async (): Promise<void> => {
    await Promise.all([replica.stop(), primary.stop()])
  }

  async function caughtUp(): Promise<void> {
    const target = (await replication(primary)).offset
    await until('the replica has caught up', async () => {
      const { linked, offset } = await replication(replica)
      return linked && offset >= target
    })
  }

  try {
    await caughtUp()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    primary,
    replica,
    caughtUp,
    async promote() {
      await askRedis(replica.port, (redis) => redis.replicaof('NO', 'ONE'))
    },
    stop,
  }
}

async function replication({ port }: RedisServer): Promise<{ linked: boolean; offset: number }> {
  const info = await askRedis(port, (redis) => redis.info('replication'))
  return {
    linked: info.includes('master_link_status:up'),
    offset: Number(/^(?:slave_repl_offset|master_repl_offset):(\d+)/m.exec(info)?.[1] ?? -1),
  }
}
