import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Redis, type RedisOptions } from 'ioredis'
import { freePort, loopback } from './ports.js'
import { findProgram } from './programs.js'
import { startProcess, temporaryFolder, type ServerProcess } from './server-process.js'
import { until } from './until.js'

export type RedisClientOptions = Omit<RedisOptions, 'replyMapping'>

/** With any of these, `startRedis` starts a new server, even if `REDIS_URL` is set. */
export interface RedisServerOptions {
  /** Default 'no'. The server writes no snapshots: without this, a killed server loses all data. */
  readonly appendonly?: 'no' | 'always' | 'everysec'
  /** Default 'noeviction'. */
  readonly maxmemoryPolicy?: string
  /** The folder of the data. It is not removed when the server stops. Default: a temporary folder. */
  readonly dir?: string
  readonly port?: number
  /** Further settings by their names in redis.conf. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A server for one test. Members that act on its process reject if the server is that of `REDIS_URL`. */
export interface RedisServer {
  readonly url: string
  readonly host: string
  readonly port: number
  /** Empty on a new server. On that of `REDIS_URL`, keys without this prefix belong to others and are never removed. */
  readonly keyPrefix: string
  /** The running process. */
  readonly pid: number
  /** A client with `keyPrefix` set. It is disconnected by `stop`. */
  connect(options?: RedisClientOptions): Redis
  /** Resolves when the process is gone. */
  kill9(): Promise<void>
  /** Starts again on the same port and data, after a shutdown if the server still runs. Resolves when it responds. */
  restart(): Promise<void>
  /** Stops the process: connections remain open without responses. */
  pause(): void
  resume(): void
  /** Ends the server at once and removes its data, except with `dir`. */
  stop(): Promise<void>
}

/**
 * Starts redis-server or valkey-server on a free loopback port and resolves when it responds. Without options and with `REDIS_URL`, it uses
 * that server instead, with a new key prefix.
 */
export async function startRedis(options?: RedisServerOptions): Promise<RedisServer> {
  const sharedUrl = process.env['REDIS_URL']
  if (sharedUrl && options === undefined) return useRedis(sharedUrl)
  return startNewRedis(options ?? {})
}

/** Sends a command over a separate connection. Rejects at once if the server is not reachable. */
export async function askRedis<T>(port: number, ask: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = quiet(
    new Redis({
      host: loopback,
      port,
      lazyConnect: true,
      enableReadyCheck: false,
      retryStrategy: () => null,
      connectTimeout: 5_000,
      commandTimeout: 5_000,
    }),
  )
  try {
    await redis.connect()
    return await ask(redis)
  } finally {
    redis.disconnect()
  }
}

async function startNewRedis({ port: wantedPort, dir, settings, ...known }: RedisServerOptions): Promise<RedisServer> {
  const program = findRedisServer()
  const port = wantedPort ?? (await freePort())
  const folder = temporaryFolder('redis')
  const config: Record<string, string> = {
    bind: loopback,
    port: String(port),
    dir: dir ?? folder.path,
    save: '',
    appendonly: known.appendonly === undefined || known.appendonly === 'no' ? 'no' : 'yes',
    appendfsync: known.appendonly === 'always' ? 'always' : 'everysec',
    // Otherwise the first synchronization of a replica waits for five seconds.
    'repl-diskless-sync-delay': '0',
    'maxmemory-policy': known.maxmemoryPolicy ?? 'noeviction',
    ...settings,
  }
  const args = Object.entries(config).flatMap(([name, value]) => [`--${name}`, value])
  const logFile = join(folder.path, 'redis.log')
  const clients = new Set<Redis>()

  async function launch(): Promise<ServerProcess> {
    const launched = await startProcess({ program, args, logFile, endSignal: 'SIGKILL' })
    await until(`${program} responds on port ${port}`, async () => {
      if (!launched.isRunning()) return true
      await askRedis(port, (redis) => redis.ping())
      return true
    })
    if (!launched.isRunning()) throw new Error(`${program} ended instead of serving:\n${launched.lastWords()}`)
    return launched
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (!server.isRunning()) return
    server.signal(signal)
    server.signal('SIGCONT')
    await server.gone()
  }

  let server = await launch().catch(async (error: unknown) => {
    await folder.remove()
    throw error
  })

  return {
    url: `redis://${loopback}:${port}`,
    host: loopback,
    port,
    keyPrefix: '',
    get pid() {
      return server.pid
    },
    connect(options = {}) {
      const client = quiet(new Redis({ host: loopback, port, ...options }))
      clients.add(client)
      return client
    },
    kill9: () => end('SIGKILL'),
    async restart() {
      await end('SIGTERM')
      server = await launch()
    },
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    async stop() {
      for (const client of clients) client.disconnect()
      await end('SIGKILL')
      await folder.remove()
    },
  }
}

async function useRedis(url: string): Promise<RedisServer> {
  const { hostname, port } = new URL(url)
  const keyPrefix = `baton-test:${randomBytes(6).toString('hex')}:`
  const clients = new Set<Redis>()
  const connect = (options: RedisClientOptions = {}): Redis => {
    const client = quiet(new Redis(url, options))
    clients.add(client)
    return client
  }
  const rejectShared = (): never => {
    throw new Error(
      'Tests must not kill, pause or restart the server of REDIS_URL. ' +
        'A test that needs this passes options to startRedis, and needs redis-server or valkey-server.',
    )
  }
  const housekeeping = connect({ maxRetriesPerRequest: 1 })
  try {
    await housekeeping.ping()
  } catch (cause) {
    housekeeping.disconnect()
    throw new Error('The server of REDIS_URL does not respond.', { cause })
  }

  return {
    url,
    host: hostname,
    port: Number(port || 6379),
    keyPrefix,
    get pid() {
      return rejectShared()
    },
    connect: (options) => connect({ keyPrefix, ...options }),
    kill9: async () => rejectShared(),
    restart: async () => rejectShared(),
    pause: rejectShared,
    resume: rejectShared,
    async stop() {
      for await (const keys of housekeeping.scanStream({ match: `${keyPrefix}*`, count: 1_000 })) {
        const found = keys as string[]
        if (found.length > 0) await housekeeping.unlink(...found)
      }
      for (const client of clients) client.disconnect()
    },
  }
}

export function findRedisServer(): string {
  return findProgram({
    env: 'REDIS_SERVER_PATH',
    names: ['redis-server', 'valkey-server'],
    installation: 'apt-get install redis-server, brew install redis',
  })
}

/** Tests end servers deliberately. A client without a listener would print each lost connection. */
function quiet(client: Redis): Redis {
  return client.on('error', () => undefined)
}
