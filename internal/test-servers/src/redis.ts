import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { Redis, type RedisOptions } from 'ioredis'
import { freePort, loopback } from './ports.js'
import { findProgram } from './programs.js'
import { startProcess, temporaryFolder, type ServerProcess } from './server-process.js'
import { until } from './until.js'

export type RedisClientOptions = Omit<RedisOptions, 'replyMapping'>

/** Any of these makes `startRedis` start a server of its own, whatever `REDIS_URL` says. */
export interface RedisServerOptions {
  /** Default 'no'. The server never writes snapshots: without this, a kill loses everything. */
  readonly appendonly?: 'no' | 'always' | 'everysec'
  /** Default 'noeviction'. */
  readonly maxmemoryPolicy?: string
  /** Where the server keeps its data. Such a folder stays when the server stops; the default is a temporary one. */
  readonly dir?: string
  readonly port?: number
  /** Further settings by their names in redis.conf. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A server for one test. Everything that acts on its process rejects when the server is that of `REDIS_URL`. */
export interface RedisServer {
  readonly url: string
  readonly host: string
  readonly port: number
  /** Empty on a server of our own. On that of `REDIS_URL`, keys without it are not ours and are never removed. */
  readonly keyPrefix: string
  /** The running process. */
  readonly pid: number
  /** A client with `keyPrefix` set. It is disconnected by `stop`. */
  connect(options?: RedisClientOptions): Redis
  /** Resolves when the process is gone. */
  kill9(): Promise<void>
  /** Starts again on the same port and data, after an orderly end if the server still runs. Resolves once it answers. */
  restart(): Promise<void>
  /** Freezes the process: connections stay open and nothing answers. */
  pause(): void
  resume(): void
  /** Ends the server at once and removes what it kept, unless `dir` was named. */
  stop(): Promise<void>
}

/**
 * Starts redis-server or valkey-server on a free loopback port and resolves once it answers. Called without options
 * while `REDIS_URL` is set, it answers with that server instead, under a key prefix of its own.
 */
export async function startRedis(options?: RedisServerOptions): Promise<RedisServer> {
  const foreignUrl = process.env['REDIS_URL']
  if (foreignUrl && options === undefined) return borrowRedis(foreignUrl)
  return startOwnRedis(options ?? {})
}

/** Asks one server one thing over a connection of its own, without waiting for a server that is away. */
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

async function startOwnRedis({ port: wantedPort, dir, settings, ...known }: RedisServerOptions): Promise<RedisServer> {
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
    // A replica would otherwise wait five seconds for others to join it.
    'repl-diskless-sync-delay': '0',
    'maxmemory-policy': known.maxmemoryPolicy ?? 'noeviction',
    ...settings,
  }
  const args = Object.entries(config).flatMap(([name, value]) => [`--${name}`, value])
  const logFile = join(folder.path, 'redis.log')
  const clients = new Set<Redis>()

  async function launch(): Promise<ServerProcess> {
    const launched = await startProcess({ program, args, logFile, endSignal: 'SIGKILL' })
    await until(`${program} answers on port ${port}`, async () => {
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

async function borrowRedis(url: string): Promise<RedisServer> {
  const { hostname, port } = new URL(url)
  const keyPrefix = `baton-test:${randomBytes(6).toString('hex')}:`
  const clients = new Set<Redis>()
  const connect = (options: RedisClientOptions = {}): Redis => {
    const client = quiet(new Redis(url, options))
    clients.add(client)
    return client
  }
  const notOurs = (): never => {
    throw new Error(
      'REDIS_URL names a server that is not ours to kill, freeze or restart. ' +
        'A test that needs this passes options to startRedis, and needs redis-server or valkey-server.',
    )
  }
  const housekeeping = connect({ maxRetriesPerRequest: 1 })
  try {
    await housekeeping.ping()
  } catch (cause) {
    housekeeping.disconnect()
    throw new Error('The server that REDIS_URL names does not answer.', { cause })
  }

  return {
    url,
    host: hostname,
    port: Number(port || 6379),
    keyPrefix,
    get pid() {
      return notOurs()
    },
    connect: (options) => connect({ keyPrefix, ...options }),
    kill9: async () => notOurs(),
    restart: async () => notOurs(),
    pause: notOurs,
    resume: notOurs,
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

/** Tests end servers on purpose: a client without a listener would print each lost connection. */
function quiet(client: Redis): Redis {
  return client.on('error', () => undefined)
}
