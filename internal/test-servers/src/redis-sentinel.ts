import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type FaultProxy, startFaultProxy } from './fault-proxy.js'
import { freePort, loopback } from './ports.js'
import { askRedis, findRedisServer, type RedisServer, type RedisServerOptions, startRedis } from './redis.js'
import { type ServerProcess, startProcess, temporaryFolder } from './server-process.js'
import { until } from './until.js'

const REPLICAS = 2
const SENTINELS = 3
const QUORUM = 2
/** Sentinels look for each other every two seconds, and at a group every ten. */
const DEADLINE_MS = 60_000

export interface RedisAddress {
  readonly host: string
  readonly port: number
}

export interface RedisSentinel {
  /** The name under which the sentinels know the group. */
  readonly name: string
  readonly sentinels: readonly RedisAddress[]
  /** The first primary, then its two replicas. */
  readonly servers: readonly RedisServer[]
  /**
   * Where clients reach what the sentinels name: sentinels and replicas reach the first primary through a proxy, clients directly.
   * It is `natMap` of ioredis and `nodeAddressMap` of node-redis.
   */
  readonly addressMap: Readonly<Record<string, RedisAddress>>
  /** The server that the sentinels name as the primary at the moment. */
  primary(): Promise<RedisServer>
  /** Resolves when every replica that follows the primary has everything that the primary had accepted at the call. */
  caughtUp(): Promise<void>
  /** Orders a fail-over, which demotes the primary, and resolves when all servers agree on the new one. */
  failOver(): Promise<void>
  /** Cuts the first primary off from sentinels and replicas, and not from clients. The sentinels then promote a replica. */
  isolate(): Promise<void>
  /** Ends the isolation. The sentinels then demote the first primary. */
  rejoin(): Promise<void>
  /** Resolves when the sentinels name another primary than the first, and the other replica follows it. */
  promoted(): Promise<void>
  stop(): Promise<void>
}

export interface RedisSentinelOptions extends Omit<RedisServerOptions, 'port' | 'dir'> {
  /** After how long without a reply a sentinel takes a server for down. Default 1000. */
  readonly downAfterMs?: number
}

/** Starts a primary, two replicas and three sentinels that agree by two. Resolves once all are in step. Never uses `REDIS_URL`. */
export async function startRedisSentinel({
  downAfterMs = 1_000,
  ...options
}: RedisSentinelOptions = {}): Promise<RedisSentinel> {
  const name = 'baton'
  const parts: { stop(): Promise<void> }[] = []
  const started = async <Part extends { stop(): Promise<void> }>(part: Promise<Part>): Promise<Part> => {
    const running = await part
    parts.push(running)
    return running
  }
  const stop = async (): Promise<void> => {
    await Promise.all(parts.reverse().map((part) => part.stop()))
  }

  try {
    const first = await started(startRedis(options))
    const proxy = await started(startFaultProxy({ target: first }))
    const following = { ...options.settings, replicaof: `${loopback} ${String(proxy.port)}` }
    const replicas = await Promise.all(
      Array.from({ length: REPLICAS }, () => started(startRedis({ ...options, settings: following }))),
    )
    const servers = [first, ...replicas]
    await until('the replicas follow', () => follow(replicas, proxy.port))
    const monitored = { name, port: proxy.port, downAfterMs }
    const sentinels = await Promise.all(Array.from({ length: SENTINELS }, () => started(startSentinel(monitored))))
    await until(
      'the sentinels know each other and the replicas',
      async () => {
        const views = await Promise.all(sentinels.map((sentinel) => viewOf(sentinel, name)))
        return views.every(
          (view) => view['num-slaves'] === String(REPLICAS) && view['num-other-sentinels'] === String(SENTINELS - 1),
        )
      },
      DEADLINE_MS,
    )
    return { ...groupOf({ name, servers, sentinels, proxy }), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Group {
  readonly name: string
  readonly servers: readonly RedisServer[]
  readonly sentinels: readonly RedisAddress[]
  readonly proxy: FaultProxy
}

function groupOf({ name, servers, sentinels, proxy }: Group): Omit<RedisSentinel, 'stop'> {
  const [first] = servers
  const portOf = (server: RedisServer) => (server === first ? proxy.port : server.port)

  async function primary(): Promise<RedisServer> {
    const named = await Promise.all(sentinels.map(async (sentinel) => (await viewOf(sentinel, name))['port']))
    const server = servers.find((candidate) => named.every((port) => port === String(portOf(candidate))))
    if (server === undefined) throw new Error('The sentinels do not agree on a primary.')
    return server
  }

  async function settled(before: RedisServer, members: readonly RedisServer[]): Promise<void> {
    await until(
      'another server is the primary, and the others follow it',
      async () => {
        const now = await primary()
        if (now === before) return false
        return follow(
          members.filter((member) => member !== now),
          portOf(now),
        )
      },
      DEADLINE_MS,
    )
  }

  return {
    name,
    servers,
    sentinels,
    addressMap: { [`${loopback}:${String(proxy.port)}`]: { host: loopback, port: first?.port ?? 0 } },
    primary,
    async caughtUp() {
      const now = await until('the sentinels agree on a primary', primary)
      const target = (await replicationOf(now)).offset
      await until('the replicas have caught up', async () => {
        const replicas = servers.filter((server) => server !== now)
        const views = await Promise.all(replicas.map(replicationOf))
        return views.every(({ isLinked, offset }) => isLinked && offset >= target)
      })
    },
    async failOver() {
      const before = await primary()
      const [sentinel] = sentinels
      if (sentinel === undefined) throw new Error('There is no sentinel.')
      await until(
        'the sentinels name another primary',
        async () => {
          if ((await primary()) !== before) return true
          // Rejected while a fail-over is running. A busy sentinel gives up a fail-over, and has to be asked again.
          await askRedis(sentinel.port, (redis) => redis.call('SENTINEL', 'FAILOVER', name))
          return false
        },
        DEADLINE_MS,
      )
      await settled(before, servers)
    },
    isolate: () => proxy.refuse(),
    rejoin: () => proxy.pass(),
    async promoted() {
      if (first !== undefined) await settled(first, servers.slice(1))
    },
  }
}

async function follow(replicas: readonly RedisServer[], port: number): Promise<boolean> {
  const views = await Promise.all(replicas.map(replicationOf))
  return views.every(({ isLinked, primaryPort }) => isLinked && primaryPort === port)
}

async function replicationOf({ port }: RedisServer) {
  const info = await askRedis(port, (redis) => redis.info('replication'))
  return {
    isLinked: info.includes('master_link_status:up'),
    primaryPort: Number(/^master_port:(\d+)/m.exec(info)?.[1] ?? 0),
    offset: Number(/^(?:slave_repl_offset|master_repl_offset):(\d+)/m.exec(info)?.[1] ?? -1),
  }
}

/** Returns what a sentinel knows of the group, by the names of SENTINEL MASTER. */
async function viewOf({ port }: RedisAddress, name: string): Promise<Readonly<Record<string, string>>> {
  const reply = await askRedis(port, (redis) => redis.call('SENTINEL', 'MASTER', name))
  const fields = Array.isArray(reply) ? reply.map(String) : []
  return Object.fromEntries(
    fields.flatMap((field, index) => (index % 2 === 0 ? [[field, fields[index + 1] ?? '']] : [])),
  )
}

interface Monitored {
  readonly name: string
  readonly port: number
  readonly downAfterMs: number
}

async function startSentinel({ name, port: monitoredPort, downAfterMs }: Monitored) {
  const program = findRedisServer()
  const port = await freePort()
  const folder = temporaryFolder('sentinel')
  // A sentinel rewrites this file.
  const file = join(folder.path, 'sentinel.conf')
  const lines = [
    `bind ${loopback}`,
    `port ${String(port)}`,
    `dir ${folder.path}`,
    `sentinel monitor ${name} ${loopback} ${String(monitoredPort)} ${String(QUORUM)}`,
    `sentinel down-after-milliseconds ${name} ${String(downAfterMs)}`,
    `sentinel failover-timeout ${name} ${String(downAfterMs * 4)}`,
    `sentinel parallel-syncs ${name} ${String(REPLICAS)}`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const process = await startProcess({
    program,
    args: [file, '--sentinel'],
    logFile: join(folder.path, 'sentinel.log'),
    endSignal: 'SIGKILL',
  })
  const stop = () => end(process, folder)
  try {
    await until(`a sentinel answers on port ${String(port)}`, async () => {
      if (!process.isRunning()) return true
      await askRedis(port, (redis) => redis.ping())
      return true
    })
    if (!process.isRunning()) throw new Error(`${program} ended instead of watching:\n${process.lastWords()}`)
  } catch (error) {
    await stop()
    throw error
  }
  return { host: loopback, port, stop }
}

async function end(process: ServerProcess, folder: { remove(): Promise<void> }): Promise<void> {
  if (process.isRunning()) {
    process.signal('SIGKILL')
    await process.gone()
  }
  await folder.remove()
}
