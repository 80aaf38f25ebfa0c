import { batchCalls, type CallResult } from '@baton/core/store'
import { RecordFormatError, whole } from './codec.js'
import type { Script } from './scripts.lua.js'

/** What the store needs of ioredis: a `Redis` or a `Cluster`. */
export interface IoRedisClient {
  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>
  eval(lua: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>
  pipeline(): { evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: string[]): unknown }
}

/** What the store needs of node-redis: a client, a pool, a cluster or a Sentinel client made by `redis`. */
export interface NodeRedisClient {
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  eval(lua: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  multi(): { evalSha(sha: string, options: { keys: string[]; arguments: string[] }): unknown }
}

export type RedisClient = IoRedisClient | NodeRedisClient

/** How many replicas must have a write before it counts, and how long to wait for them. */
export interface ReplicaQuorum {
  readonly count: number
  readonly timeoutMs: number
}

/** The two things that the store asks of a server, whatever the driver calls them. */
export interface Commands {
  /** One EVALSHA; one EVAL more when the server has forgotten its scripts. */
  readonly run: Run
  /** The same, and rejects unless enough replicas have confirmed it. */
  readonly runReplicated: Run
}

export type Run = (script: Script, key: string, ...args: (string | number)[]) => Promise<unknown>

interface Driver {
  bySha(sha: string, key: string, args: string[]): Promise<unknown>
  byText(lua: string, key: string, args: string[]): Promise<unknown>
  /**
   * The script, then WAIT, on one connection and in one piece: a WAIT that comes alone on a new connection has nothing to wait for,
   * and says that all is well. Resolves with both replies.
   */
  byShaThenWait(sha: string, key: string, args: string[], quorum: ReplicaQuorum): Promise<readonly [unknown, unknown]>
  /** Replaces a connection to a server that has become a replica. Clients of clusters and of Sentinel do so themselves. */
  reconnect(): void
}

export function isIoRedis(client: RedisClient): client is IoRedisClient {
  return 'evalsha' in client
}

/** Returns the commands of a client that `assertRedisClient` accepted. */
export function commandsOf(client: RedisClient, quorum: ReplicaQuorum | null): Commands {
  const driver = isIoRedis(client) ? ioRedis(client) : nodeRedis(client)

  async function run({ sha, lua }: Script, key: string, args: string[]): Promise<unknown> {
    try {
      return await driver.bySha(sha, key, args)
    } catch (error) {
      if (begins(error, 'NOSCRIPT')) return driver.byText(lua, key, args)
      throw error
    }
  }

  async function runThenWait(script: Script, key: string, args: string[], wanted: ReplicaQuorum): Promise<unknown> {
    const attempt = () => driver.byShaThenWait(script.sha, key, args, wanted)
    const [reply, confirmed] = await attempt().catch(async (error: unknown) => {
      if (!begins(error, 'NOSCRIPT') && !begins(error, 'MOVED')) throw error
      // Sent alone, the script is loaded and follows its slot, and the driver learns where that is.
      await run(script, key, args)
      return attempt()
    })
    if (typeof confirmed === 'number' && confirmed >= wanted.count) return reply
    throw new Error(
      `the write was made, but only ${String(confirmed)} of ${String(wanted.count)} replicas confirmed it ` +
        `within ${String(wanted.timeoutMs)} ms (waitForReplicas)`,
    )
  }

  const explained = (key: string) => (error: unknown) => {
    if (begins(error, 'WRONGTYPE'))
      throw new RecordFormatError(`the key ${key} holds something that is not of @baton/store-redis`, { cause: error })
    if (!isFromReplica(error)) throw error
    driver.reconnect()
    throw new Error(
      'the server is a replica and takes no writes (READONLY): the client reconnects; if this lasts, connect it to the primary',
      { cause: error },
    )
  }
  return {
    run: async (script, key, ...args) => run(script, key, args.map(toText)).catch(explained(key)),
    runReplicated: async (script, key, ...args) =>
      (quorum === null ? run(script, key, args.map(toText)) : runThenWait(script, key, args.map(toText), quorum)).catch(
        explained(key),
      ),
  }
}

function toText(argument: string | number): string {
  return typeof argument === 'number' ? whole(argument) : argument
}

function ioRedis(client: IoRedisClient): Driver {
  return {
    bySha: 'nodes' in client ? (sha, key, args) => client.evalsha(sha, 1, key, ...args) : pipelinedEvalsha(client),
    byText: (lua, key, args) => client.eval(lua, 1, key, ...args),
    async byShaThenWait(sha, key, args, { count, timeoutMs }) {
      const pipeline = client.pipeline() as IoRedisPipeline
      pipeline.evalsha(sha, 1, key, ...args)
      pipeline.call('WAIT', String(count), String(timeoutMs))
      const [write, wait] = (await pipeline.exec()) ?? []
      const error = write?.[0] ?? wait?.[0]
      if (error) throw error
      return [write?.[1], wait?.[1]]
    },
    reconnect() {
      const connection = client as IoRedisClient & IoRedisConnection
      if (!('nodes' in client) && connection.status === 'ready') connection.disconnect?.(true)
    },
  }
}

interface ScriptCall {
  readonly sha: string
  readonly key: string
  readonly args: string[]
}

/**
 * Sends the calls of one batch in one write: a write wakes the server, which costs this process more than all else that it does for a
 * command. Not for clusters, whose keys are on several servers.
 */
function pipelinedEvalsha(client: IoRedisClient): Driver['bySha'] {
  async function sendPipeline(calls: readonly ScriptCall[]): Promise<CallResult<unknown>[]> {
    const pipeline = client.pipeline() as IoRedisPipeline
    for (const { sha, key, args } of calls) pipeline.evalsha(sha, 1, key, ...args)
    const replies = (await pipeline.exec()) ?? []
    return replies.map(([error, reply]) => {
      if (error === null) return { status: 'fulfilled', value: reply }
      // If the connection is lost between the replies, ioredis aborts the rest of the pipeline and does not send it again.
      return error.name === 'AbortError' ? { status: 'retry' } : { status: 'rejected', reason: error }
    })
  }

  const evalsha = batchCalls(sendPipeline, {
    max: Infinity,
    runOne: ({ sha, key, args }: ScriptCall) => client.evalsha(sha, 1, key, ...args),
  })
  return (sha, key, args) => evalsha({ sha, key, args })
}

function nodeRedis(client: NodeRedisClient): Driver {
  return {
    bySha: (sha, key, args) => client.evalSha(sha, { keys: [key], arguments: args }),
    byText: (lua, key, args) => client.eval(lua, { keys: [key], arguments: args }),
    async byShaThenWait(sha, key, args, { count, timeoutMs }) {
      const pipeline = client.multi() as NodeRedisPipeline
      pipeline.evalSha(sha, { keys: [key], arguments: args })
      pipeline.wait(count, timeoutMs)
      const [write, wait] = await pipeline.execAsPipeline()
      return [write, wait]
    },
    reconnect() {
      const connection = client as NodeRedisClient & NodeRedisConnection
      if ('nodeClient' in client || isNodeRedisSentinel(client)) return
      // The server closes the connection, and the client opens another one. There is no method for it.
      connection.sendCommand?.(['QUIT']).catch(() => undefined)
    },
  }
}

/** What reconnecting needs of a single client; spelled out in the public types it would match no version's own. */
interface IoRedisConnection {
  readonly status?: unknown
  disconnect?(reconnect: boolean): void
}

interface NodeRedisConnection {
  sendCommand?(command: string[]): Promise<unknown>
}

/** Returns true for what `createSentinel` of node-redis returns. */
export function isNodeRedisSentinel(client: object): boolean {
  return 'getSentinelNode' in client && 'getMasterNode' in client
}

/** What a pipeline of ioredis has besides; spelled out in the public type it would match no version's own. */
interface IoRedisPipeline {
  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: string[]): unknown
  call(command: string, ...args: string[]): unknown
  exec(): Promise<[error: Error | null, reply?: unknown][] | null>
}

interface NodeRedisPipeline {
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): unknown
  wait(replicas: number, timeoutMs: number): unknown
  execAsPipeline(): Promise<unknown[]>
}

/** Redis before 7.0 reports the error of a command within a script amid its own message. */
function isFromReplica(error: unknown): boolean {
  return error instanceof Error && /(?:^|-)READONLY /.test(error.message)
}

function begins(error: unknown, code: string): boolean {
  return error instanceof Error && error.message.startsWith(code)
}
