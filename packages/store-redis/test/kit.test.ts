import { randomBytes } from 'node:crypto'
import type { TokenStore } from '@baton/core'
import { crashCases, linearizabilityCases, tokenStoreCases } from '@baton/store-testkit'
import { type RedisCluster, type RedisServer, sampled, startRedis, startRedisCluster } from '@baton/test-servers'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type RedisClient, redisStore } from '../src/index.js'
import { alternating, clusterDrivers, hastyDrivers, singleDrivers } from './drivers.js'

let server: RedisServer
let cluster: RedisCluster

beforeAll(async () => {
  server = await startRedis()
  cluster = await startRedisCluster({ nodes: 3 })
})
afterAll(() => Promise.all([server.stop(), cluster.stop()]))

/** Every case of the kit wants an empty store; where the server may be shared, none may meet what an earlier run has left. */
function emptyStoresOn(clients: readonly RedisClient[]) {
  const prefix = `baton-test:${randomBytes(6).toString('hex')}:`
  return clients.map((client) => redisStore(client, { prefix }))
}

/** Redis deletes expired keys itself, so `purge` sends no command and cannot fail while the server is down, as the kit requires of every call. */
function askingToPurge(store: TokenStore): TokenStore {
  return {
    ...store,
    async purge(now, limit) {
      await store.list({ subject: 'nobody', limit: 1, now })
      return store.purge(now, limit)
    },
  }
}

function proveOver(connections: () => readonly { readonly client: RedisClient }[]): void {
  const openStores = () => ({ stores: emptyStoresOn(connections().map(({ client }) => client)) })
  const openStore = () => {
    const [one, other] = openStores().stores
    return { store: one!, another: () => other! }
  }
  for (const { name, run } of tokenStoreCases(openStore, { deletion: 'engine' })) test(name, run)
  for (const { name, run } of linearizabilityCases(openStores)) test(name, run)
}

describe.each(sampled(Object.entries(singleDrivers), ([name]) => name === 'ioredis 6'))(
  'the kit over three connections of %s',
  (_name, connect) => {
    let connections: Awaited<ReturnType<typeof connect>>[]
    beforeAll(async () => {
      connections = [await connect(server), await connect(server), await connect(server)]
    })
    afterAll(() => connections.forEach(({ end }) => end()))
    proveOver(() => connections)
  },
)

describe.each(sampled(Object.entries(clusterDrivers), ([name]) => name === 'node-redis 6'))(
  'the kit over three cluster clients of %s',
  (_name, connect) => {
    let connections: Awaited<ReturnType<typeof connect>>[]
    beforeAll(async () => {
      connections = [await connect(cluster), await connect(cluster), await connect(cluster)]
    })
    afterAll(() => connections.forEach(({ end }) => end()))
    proveOver(() => connections)
  },
)

describe.each(sampled(['ioredis and node-redis'], () => true))('the kit between %s', () => {
  let connections: Awaited<ReturnType<(typeof singleDrivers)[string]>>[]
  beforeAll(async () => {
    const drivers = [singleDrivers['ioredis 6']!, singleDrivers['node-redis 6']!]
    connections = await Promise.all(drivers.map((connect) => connect(server)))
  })
  afterAll(() => connections.forEach(({ end }) => end()))

  const openStores = () => ({ stores: emptyStoresOn(connections.map(({ client }) => client)) })
  const openStore = () => {
    const [one, other] = openStores().stores
    return alternating(one!, other!)
  }
  for (const { name, run } of tokenStoreCases(openStore, { deletion: 'engine' })) test(name, run)
  for (const { name, run } of linearizabilityCases(openStores, { histories: 25 })) test(name, run)
})

describe.each(sampled(Object.entries(hastyDrivers), ([name]) => name === 'node-redis 6'))(
  'kill -9 of redis-server with appendfsync always, %s',
  (_name, connect) => {
    const openCrashable = async () => {
      const mortal = await startRedis({ appendonly: 'always' })
      const ends: (() => void)[] = []
      const open = async () => {
        const { client, end } = await connect(mortal)
        ends.push(end)
        return askingToPurge(redisStore(client))
      }
      const reopen = async () => {
        await mortal.restart()
        return open()
      }
      const close = async () => {
        for (const end of ends) end()
        await mortal.stop()
      }
      return { store: await open(), kill: () => mortal.kill9(), reopen, close }
    }
    for (const { name, run } of crashCases(openCrashable)) test(name, run)
  },
)
