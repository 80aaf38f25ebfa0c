import { startPostgres, startRedis, startRedisCluster } from '@baton/test-servers'
import type { Engines } from './messages.js'
import type { Row } from './row.js'

/** Starts the engines of these rows on loopback, with production settings. */
export async function startEngines(rows: readonly Row[]): Promise<{ engines: Engines; stop: () => Promise<void> }> {
  const needs = (store: Row['store']) => rows.some((row) => row.store === store)
  const redis = needs('redis') ? await startRedis({ appendonly: 'everysec' }) : null
  const cluster = needs('cluster') ? await startRedisCluster({ nodes: 3, appendonly: 'everysec' }) : null
  const postgres = needs('postgres') ? await startPostgres({}) : null
  return {
    engines: {
      redis: redis && { host: redis.host, port: redis.port },
      cluster: cluster && cluster.nodes.map(({ host, port }) => ({ host, port })),
      postgres: postgres?.url ?? null,
    },
    async stop() {
      await Promise.all([redis?.stop(), cluster?.stop(), postgres?.stop()])
    },
  }
}
