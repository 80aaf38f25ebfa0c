import type { TokenStore } from '@baton/core'
import type { RedisCluster, RedisSentinel, RedisServer } from '@baton/test-servers'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { createClient, createCluster, createSentinel } from 'redis'
import type { RedisClient } from '../src/index.js'

/** How tests connect: a client that is quiet about lost connections, and how to end it. */
interface Connection {
  readonly client: RedisClient
  readonly end: () => void
}

type Connect<Server> = (server: Server) => Promise<Connection>

const quiet = () => undefined

export const singleDrivers: Readonly<Record<string, Connect<Pick<RedisServer, 'url'>>>> = {
  'ioredis 6': async ({ url }) => {
    const client = new Redis(url).on('error', quiet)
    return { client, end: () => client.disconnect() }
  },
  'ioredis 5': async ({ url }) => {
    const client = new Redis5(url).on('error', quiet)
    return { client, end: () => client.disconnect() }
  },
  'node-redis 6': async ({ url }) => {
    const client = await createClient({ url }).on('error', quiet).connect()
    return { client, end: () => client.destroy() }
  },
}

/** Clients that give up at once and for good when the server is away. */
export const hastyDrivers: Readonly<Record<string, Connect<Pick<RedisServer, 'url'>>>> = {
  'ioredis 6': async ({ url }) => {
    const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null }).on('error', quiet)
    await client.connect()
    return { client, end: () => client.disconnect() }
  },
  'node-redis 6': async ({ url }) => {
    const client = await createClient({ url, socket: { reconnectStrategy: false } })
      .on('error', quiet)
      .connect()
    return { client, end: () => client.destroy() }
  },
}

export const clusterDrivers: Readonly<Record<string, Connect<RedisCluster>>> = {
  'ioredis 6': async (cluster) => {
    // Stores must not notice where an app sends its own reads.
    const client = cluster.connect({ scaleReads: 'slave' })
    return { client, end: () => client.disconnect() }
  },
  'ioredis 6 with automatic pipelines': async (cluster) => {
    const client = cluster.connect({ enableAutoPipelining: true })
    return { client, end: () => client.disconnect() }
  },
  'node-redis 6': async (cluster) => {
    const rootNodes = cluster.nodes.map(({ url }) => ({ url }))
    const client = createCluster({ rootNodes, useReplicas: true }).on('error', quiet)
    await client.connect()
    return { client, end: () => client.destroy() }
  },
}

/** Clients that find the primary by Sentinel, as the documentation sets them up. */
export const sentinelDrivers: Readonly<
  Record<string, (group: RedisSentinel, changes?: { readonly failoverDetector: boolean }) => Promise<Connection>>
> = {
  'ioredis 6': async ({ name, sentinels, addressMap }, { failoverDetector } = { failoverDetector: true }) => {
    const options = { name, sentinels: [...sentinels], natMap: { ...addressMap }, failoverDetector }
    const client = new Redis({ ...options, maxRetriesPerRequest: 1 }).on('error', quiet)
    return { client, end: () => client.disconnect() }
  },
  'ioredis 5': async ({ name, sentinels, addressMap }, { failoverDetector } = { failoverDetector: true }) => {
    const options = { name, sentinels: [...sentinels], natMap: { ...addressMap }, failoverDetector }
    const client = new Redis5({ ...options, maxRetriesPerRequest: 1 }).on('error', quiet)
    return { client, end: () => client.disconnect() }
  },
  'node-redis 6': async ({ name, sentinels, addressMap }) => {
    const options = { name, sentinelRootNodes: [...sentinels], nodeAddressMap: { ...addressMap }, scanInterval: 1_000 }
    const client = await createSentinel(options).on('error', quiet).connect()
    return { client, end: () => void client.destroy() }
  },
}

/** Sends every call to the other store than the call before. */
export function alternating(one: TokenStore, other: TokenStore): TokenStore {
  let turn = 0
  const next = () => ((turn += 1) % 2 === 0 ? one : other)
  return {
    create: (record, now) => next().create(record, now),
    find: (id) => next().find(id),
    rotate: (command) => next().rotate(command),
    revoke: (id, revocation) => next().revoke(id, revocation),
    list: (query) => next().list(query),
    listRevoked: (query) => next().listRevoked(query),
    purge: (now, limit) => next().purge(now, limit),
    claimOnce: (claim, now) => next().claimOnce(claim, now),
  }
}
