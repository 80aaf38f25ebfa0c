import { randomBytes } from 'node:crypto'
import type { TokenStore } from '@baton/core'
import { tokenStoreCases } from '@baton/store-testkit'
import { type RedisCluster, type RedisServer, startRedis, startRedisCluster } from '@baton/test-servers'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type RedisClient, redisStore } from '../src/index.js'
import { alternating, clusterDrivers, singleDrivers } from './drivers.js'

let server: RedisServer
let cluster: RedisCluster

beforeAll(async () => {
  server = await startRedis()
  cluster = await startRedisCluster({ nodes: 3 })
}, 60_000)
afterAll(() => Promise.all([server.stop(), cluster.stop()]))

/** Every case of the kit wants an empty store; where the server may be shared, none may meet what an earlier run has left. */
function emptyStoreOn(one: RedisClient, other: RedisClient): TokenStore {
  const prefix = `baton-test:${randomBytes(6).toString('hex')}:`
  return alternating(redisStore(one, { prefix }), redisStore(other, { prefix }))
}

describe.each(Object.entries(singleDrivers))('the kit over two connections of %s', (_name, connect) => {
  let connections: Awaited<ReturnType<typeof connect>>[]
  beforeAll(async () => {
    connections = [await connect(server), await connect(server)]
  })
  afterAll(() => connections.forEach(({ end }) => end()))

  const openStore = () => emptyStoreOn(connections[0]!.client, connections[1]!.client)
  for (const { name, run } of tokenStoreCases(openStore, { deletion: 'engine' })) test(name, run)
})

describe.each(Object.entries(clusterDrivers))('the kit over two cluster clients of %s', (_name, connect) => {
  let connections: Awaited<ReturnType<typeof connect>>[]
  beforeAll(async () => {
    connections = [await connect(cluster), await connect(cluster)]
  })
  afterAll(() => connections.forEach(({ end }) => end()))

  const openStore = () => emptyStoreOn(connections[0]!.client, connections[1]!.client)
  for (const { name, run } of tokenStoreCases(openStore, { deletion: 'engine' })) test(name, run)
})

describe('the kit between ioredis and node-redis', () => {
  const ends: (() => void)[] = []
  let clients: RedisClient[]
  beforeAll(async () => {
    const drivers = [singleDrivers['ioredis 6']!, singleDrivers['node-redis 6']!]
    const connections = await Promise.all(drivers.map((connect) => connect(server)))
    clients = connections.map(({ client }) => client)
    ends.push(...connections.map(({ end }) => end))
  })
  afterAll(() => ends.forEach((end) => end()))

  const openStore = () => emptyStoreOn(clients[0]!, clients[1]!)
  for (const { name, run } of tokenStoreCases(openStore, { deletion: 'engine' })) test(name, run)
})
