import { startRedisCluster } from '@baton/test-servers'
import { Cluster } from 'ioredis'
import { expect, test } from 'vitest'
import { redisStore } from '../src/index.js'

test('check asks every node also of a cluster that is still connecting, and rejects where it cannot', async () => {
  const cluster = await startRedisCluster({ nodes: 3 })
  const seeds = cluster.nodes.slice(0, 1).map(({ host, port }) => ({ host, port }))
  const client = new Cluster(seeds).on('error', () => undefined)
  try {
    const findings = await redisStore(client).check()
    expect(new Set(findings.map(({ node }) => node)).size).toBe(3)
    client.disconnect()
    await expect(redisStore(client).check()).rejects.toThrow(/closed|startup nodes/)
  } finally {
    client.disconnect()
    await cluster.stop()
  }
})
