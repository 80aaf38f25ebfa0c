import { join } from 'node:path'
import { startPostgres, startRedis, startRedisCluster } from '@baton/test-servers'
import type { StoreKind } from './examples.js'
import { type Settings, temporaryFolder } from './server.js'

export interface Store {
  /** Returns the settings of an empty store. A store that cannot be divided is cleared. */
  empty(): Promise<Settings>
  stop(): Promise<void>
}

/** A store that is a server. Tests may stop it for a while; it loses no data. */
export interface StoreServer extends Store {
  /** The setting with its URL. */
  readonly variable: 'REDIS_URL' | 'DATABASE_URL'
  kill9(): Promise<void>
  restart(): Promise<void>
}

/** Starts at most one server of each kind for all tests of a file, at its first use. */
export function storesOfOneFile() {
  const opened = new Map<StoreKind, Promise<Store>>()
  const open = (kind: StoreKind): Promise<Store> => {
    const store = opened.get(kind) ?? openers[kind]()
    opened.set(kind, store)
    return store
  }
  return {
    open,
    async openServer(kind: StoreKind): Promise<StoreServer> {
      const store = await open(kind)
      if (!('kill9' in store)) throw new Error(`${kind} is no server`)
      return store as StoreServer
    },
    async stop() {
      await Promise.all([...opened.values()].map(async (store) => (await store).stop()))
    },
  }
}

/** Returns true if another process stores the sessions. */
export function isServer(kind: StoreKind): boolean {
  return kind !== 'memory' && kind !== 'sqlite'
}

const openers: Readonly<Record<StoreKind, () => Promise<Store>>> = {
  memory: async () => ({ empty: async () => ({}), stop: async () => undefined }),

  async sqlite() {
    const folder = temporaryFolder()
    let files = 0
    return {
      empty: async () => ({ DATABASE: join(folder.path, `${++files}.db`) }),
      stop: async () => folder.remove(),
    }
  },

  async redis(): Promise<StoreServer> {
    const server = await startRedis({ appendonly: 'everysec', settings: { databases: '1000' } })
    let databases = 0
    return {
      variable: 'REDIS_URL',
      empty: async () => ({ REDIS_URL: `${server.url}/${++databases}` }),
      kill9: () => server.kill9(),
      restart: () => server.restart(),
      stop: () => server.stop(),
    }
  },

  async 'redis-cluster'(): Promise<StoreServer> {
    const cluster = await startRedisCluster({ nodes: 3, appendonly: 'everysec' })
    const nodes = cluster.nodes.map((node) => ({ node, client: node.connect() }))
    return {
      variable: 'REDIS_URL',
      async empty() {
        // A cluster has only one database.
        await Promise.all(nodes.map(({ client }) => client.flushall()))
        return { REDIS_URL: cluster.nodes.map(({ url }) => url).join(',') }
      },
      async kill9() {
        await Promise.all(cluster.nodes.map((node) => node.kill9()))
      },
      async restart() {
        await Promise.all(cluster.nodes.map((node) => node.restart()))
        await cluster.healthy()
      },
      stop: () => cluster.stop(),
    }
  },

  async postgres(): Promise<StoreServer> {
    // A killed process loses no data. Only a power failure would.
    const server = await startPostgres({ settings: { fsync: 'off' } })
    const admin = server.pool({ max: 1 })
    let databases = 0
    return {
      variable: 'DATABASE_URL',
      async empty() {
        const name = `example_${++databases}`
        await admin.query(`CREATE DATABASE ${name}`)
        const url = new URL(server.url)
        url.pathname = name
        return { DATABASE_URL: url.href }
      },
      kill9: () => server.kill9(),
      restart: () => server.restart(),
      stop: () => server.stop(),
    }
  },
}
