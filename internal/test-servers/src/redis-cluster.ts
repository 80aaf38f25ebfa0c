import { Cluster, type ClusterOptions } from 'ioredis'
import { freePort, loopback } from './ports.js'
import { askRedis, startRedis, type RedisClientOptions, type RedisServer } from './redis.js'
import { until } from './until.js'

const slots = 16_384
const primaryCount = 3

export type RedisClusterClientOptions = Omit<ClusterOptions, 'redisOptions'> & { redisOptions?: RedisClientOptions }

export interface RedisClusterOptions {
  /** Three primaries, or three primaries with one replica each. */
  readonly nodes: 3 | 6
  /** Default 'no'. */
  readonly appendonly?: 'no' | 'always' | 'everysec'
  /** Default 2000. A replica takes over about twice this time after its primary died. */
  readonly nodeTimeoutMs?: number
}

export interface RedisCluster {
  /** The three primaries; after them, in the same order, their replicas. */
  readonly nodes: readonly RedisServer[]
  /** It is disconnected by `stop`. */
  connect(options?: RedisClusterClientOptions): Cluster
  /** Resolves when all nodes that answer agree that the cluster is complete, that they hold every slot and that none of them fails. */
  healthy(): Promise<void>
  stop(): Promise<void>
}

/**
 * Starts a Redis Cluster on loopback and resolves once every node calls it complete and every replica follows.
 * Needs Redis 7 or Valkey. Never uses `REDIS_URL`.
 */
export async function startRedisCluster(options: RedisClusterOptions): Promise<RedisCluster> {
  const started = await Promise.allSettled(Array.from({ length: options.nodes }, () => startNode(options)))
  const nodes = started.flatMap((node) => (node.status === 'fulfilled' ? [node.value.server] : []))
  const clients = new Set<Cluster>()
  const stop = async (): Promise<void> => {
    for (const client of clients) client.disconnect()
    await Promise.all(nodes.map((node) => node.stop()))
  }

  try {
    await join(started.map(startedNode))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    nodes,
    connect(clusterOptions = {}) {
      const seeds = nodes.map(({ host, port }) => ({ host, port }))
      const client = new Cluster(seeds, clusterOptions).on('error', () => undefined)
      clients.add(client)
      return client
    },
    async healthy() {
      await until('the cluster is complete', () => isComplete(nodes))
    },
    stop,
  }
}

interface Node {
  readonly server: RedisServer
  readonly busPort: number
}

async function startNode({ appendonly = 'no', nodeTimeoutMs = 2_000 }: RedisClusterOptions): Promise<Node> {
  const busPort = await freePort()
  const server = await startRedis({
    appendonly,
    settings: {
      'cluster-enabled': 'yes',
      'cluster-port': String(busPort),
      'cluster-node-timeout': String(nodeTimeoutMs),
      // A replica takes over however long it was out of touch: a test that stops servers means it.
      'cluster-replica-validity-factor': '0',
    },
  })
  return { server, busPort }
}

function startedNode(result: PromiseSettledResult<Node>): Node {
  if (result.status === 'rejected') throw result.reason
  return result.value
}

async function join(nodes: readonly Node[]): Promise<void> {
  const primaries = nodes.slice(0, primaryCount)
  const replicas = nodes.slice(primaryCount)
  const ids = await Promise.all(nodes.map((node) => command(node, 'MYID')))

  // Distinct epochs spare the nodes the collisions that they would otherwise resolve one by one.
  await Promise.all(nodes.map((node, place) => command(node, 'SET-CONFIG-EPOCH', place + 1)))
  await Promise.all(primaries.map((node, place) => command(node, 'ADDSLOTSRANGE', ...slotRange(place))))
  for (const [place, node] of nodes.entries()) {
    for (const other of nodes.slice(place + 1)) {
      await command(node, 'MEET', loopback, other.server.port, other.busPort)
    }
  }
  const everyNode = nodes.map((node) => node.server)
  await until('the nodes know each other', async () => {
    const views = await infos(everyNode)
    return views.every((view) => view?.info.includes(`cluster_known_nodes:${nodes.length}`))
  })
  await until('the cluster is complete', () => isComplete(everyNode))

  await Promise.all(
    replicas.map((node, place) =>
      until('a replica accepts its primary', async () => {
        await command(node, 'REPLICATE', ids[place] ?? '')
        return true
      }),
    ),
  )
  await until('every replica follows, and every node knows', async () => {
    const views = await Promise.all(nodes.map((node) => command(node, 'NODES')))
    const links = await Promise.all(replicas.map(({ server }) => askRedis(server.port, (r) => r.info('replication'))))
    return (
      views.every((view) => view.split('slave ').length - 1 === replicas.length) &&
      links.every((link) => link.includes('master_link_status:up'))
    )
  })
}

function slotRange(place: number): [number, number] {
  const start = (share: number): number => Math.round((slots * share) / primaryCount)
  return [start(place), start(place + 1) - 1]
}

async function command({ server }: Node, name: string, ...args: (string | number)[]): Promise<string> {
  return String(await askRedis(server.port, (redis) => redis.call('CLUSTER', name, ...args)))
}

/**
 * Complete, each slot held by a node that answers, and none of these taken for dead: what a dead primary held counts once a replica took
 * over, and a node that was stopped for a while counts once the others have heard of it again.
 */
async function isComplete(servers: readonly RedisServer[]): Promise<boolean> {
  const answering = (await infos(servers)).filter((view) => view !== undefined)
  if (answering.length === 0 || !answering.every(({ info }) => info.includes('cluster_state:ok'))) return false
  const ports = new Set(answering.map(({ port }) => port))
  const holders = await Promise.all(answering.map(({ port }) => slotHolders(port)))
  const holding = holders.every((held) => {
    const served = held.filter((range) => ports.has(range.port))
    return served.reduce((sum, { count }) => sum + count, 0) === slots
  })
  if (!holding) return false
  const failing = await Promise.all(answering.map(({ port }) => failingPorts(port)))
  return failing.flat().every((port) => !ports.has(port))
}

/** The ports of nodes that this one takes for dead, or suspects to be. */
async function failingPorts(of: number): Promise<number[]> {
  const nodes = String(await askRedis(of, (redis) => redis.call('CLUSTER', 'NODES')))
  return nodes.split('\n').flatMap((line) => {
    const [, address = '', flags = ''] = line.split(' ')
    return /\bfail\b/.test(flags) ? [Number(/:(\d+)@/.exec(address)?.[1])] : []
  })
}

async function infos(servers: readonly RedisServer[]): Promise<({ port: number; info: string } | undefined)[]> {
  return Promise.all(
    servers.map(async ({ port }) => {
      try {
        return { port, info: await askRedis(port, async (redis) => String(await redis.call('CLUSTER', 'INFO'))) }
      } catch {
        return undefined
      }
    }),
  )
}

async function slotHolders(port: number): Promise<{ count: number; port: number }[]> {
  const ranges = (await askRedis(port, (redis) => redis.call('CLUSTER', 'SLOTS'))) as SlotRange[]
  return ranges.map(([first, last, [, holderPort]]) => ({ count: last - first + 1, port: holderPort }))
}

/** The first slot, the last slot, the primary that holds them; its replicas follow. */
type SlotRange = [first: number, last: number, primary: [host: string, port: number]]
