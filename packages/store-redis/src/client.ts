import { batchCalls, type CallResult } from '@baton/core/store'
import { integerToText, RecordFormatError } from './codec.js'
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

/** The number of replicas that must have a write, and how long to wait for them. */
export interface ReplicaQuorum {
  readonly count: number
  readonly timeoutSeconds: number
}

/** Runs a script on one key: one EVALSHA, and one EVAL if the server does not have the script. */
export type Run = (script: Script, key: string, ...args: (string | number)[]) => Promise<unknown>

interface ScriptCall {
  readonly sha: string
  readonly key: string
  readonly args: string[]
}

/** What differs between the drivers. */
interface Driver {
  evalsha(call: ScriptCall): Promise<unknown>
  eval(lua: string, key: string, args: string[]): Promise<unknown>
  /**
   * Sends the script and WAIT on one connection, in one write: a WAIT alone on a new connection has no write to wait for, and succeeds
   * at once. Resolves with both replies.
   */
  evalshaThenWait(call: ScriptCall, count: number, timeoutMs: number): Promise<readonly [unknown, unknown]>
  /** Replaces a connection to a server that became a replica. Clients of clusters and of Sentinel do so themselves. */
  reconnect(): void
}

export function isIoRedis(client: RedisClient): client is IoRedisClient {
  return 'evalsha' in client
}

/** Returns true for what `createSentinel` of node-redis returns. */
export function isNodeRedisSentinel(client: object): boolean {
  return 'getSentinelNode' in client && 'getMasterNode' in client
}

/** Returns two ways to run a script with a client: `runReplicated` rejects unless enough replicas have confirmed the write. */
export function createRunners(client: RedisClient, quorum?: ReplicaQuorum): { run: Run; runReplicated: Run } {
  const driver = isIoRedis(client) ? ioRedis(client) : nodeRedis(client)

  async function evaluate({ sha, lua }: Script, key: string, args: string[]): Promise<unknown> {
    try {
      return await driver.evalsha({ sha, key, args })
    } catch (error) {
      if (startsWith(error, 'NOSCRIPT')) return driver.eval(lua, key, args)
      throw error
    }
  }

  async function evaluateThenWait(script: Script, key: string, args: string[]): Promise<unknown> {
    if (quorum === undefined) return evaluate(script, key, args)
    const timeoutMs = Math.round(quorum.timeoutSeconds * 1000)
    const attempt = () => driver.evalshaThenWait({ sha: script.sha, key, args }, quorum.count, timeoutMs)
    const [reply, confirmed] = await attempt().catch(async (error: unknown) => {
      if (!startsWith(error, 'NOSCRIPT') && !startsWith(error, 'MOVED')) throw error
      // Sent alone, the script is loaded, and the driver learns which node of the cluster has its slot.
      await evaluate(script, key, args)
      return attempt()
    })
    if (typeof confirmed === 'number' && confirmed >= quorum.count) return reply
    throw new Error(
      `the write was made, but only ${String(confirmed)} of ${String(quorum.count)} replicas confirmed it ` +
        `within ${String(timeoutMs)} ms (waitForReplicas)`,
    )
  }

  function explain(error: unknown, key: string): unknown {
    if (startsWith(error, 'WRONGTYPE'))
      return new RecordFormatError(`the key ${key} holds something that is not of @baton/store-redis`, { cause: error })
    if (!isFromReplica(error)) return error
    driver.reconnect()
    return new Error(
      'the server is a replica and accepts no writes (READONLY): the client reconnects; if this persists, connect it to the primary',
      { cause: error },
    )
  }

  const runWith = (runScript: typeof evaluate): Run => {
    return async (script, key, ...args) => {
      try {
        const texts = args.map((argument) => (typeof argument === 'number' ? integerToText(argument) : argument))
        return await runScript(script, key, texts)
      } catch (error) {
        throw explain(error, key)
      }
    }
  }
  return { run: runWith(evaluate), runReplicated: runWith(evaluateThenWait) }
}

/** Redis before 7.0 puts the error of a command within a script into a message of its own. */
function isFromReplica(error: unknown): boolean {
  return error instanceof Error && /(?:^|-)READONLY /.test(error.message)
}

function startsWith(error: unknown, code: string): boolean {
  return error instanceof Error && error.message.startsWith(code)
}

/** Members of ioredis that are not in the public types, because their types differ between its versions. */
interface IoRedisPipeline {
  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: string[]): unknown
  call(command: string, ...args: string[]): unknown
  exec(): Promise<[error: Error | null, reply?: unknown][] | null>
}
interface IoRedisConnection {
  readonly status?: unknown
  disconnect?(reconnect: boolean): void
}

function ioRedis(client: IoRedisClient): Driver {
  const isCluster = 'nodes' in client
  const evalsha = ({ sha, key, args }: ScriptCall) => client.evalsha(sha, 1, key, ...args)

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

  return {
    // One write for all calls of a batch: a write wakes the server, which costs this process more than the commands. The keys of a
    // cluster are on several servers.
    evalsha: isCluster ? evalsha : batchCalls(sendPipeline, { max: Infinity, runOne: evalsha }),
    eval: (lua, key, args) => client.eval(lua, 1, key, ...args),
    async evalshaThenWait({ sha, key, args }, count, timeoutMs) {
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
      if (!isCluster && connection.status === 'ready') connection.disconnect?.(true)
    },
  }
}

/** Members of node-redis that are not in the public types, because their types differ between its versions. */
interface NodeRedisPipeline {
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): unknown
  wait(replicas: number, timeoutMs: number): unknown
  execAsPipeline(): Promise<unknown[]>
}
interface NodeRedisConnection {
  sendCommand?(command: string[]): Promise<unknown>
}

function nodeRedis(client: NodeRedisClient): Driver {
  return {
    evalsha: ({ sha, key, args }) => client.evalSha(sha, { keys: [key], arguments: args }),
    eval: (lua, key, args) => client.eval(lua, { keys: [key], arguments: args }),
    async evalshaThenWait({ sha, key, args }, count, timeoutMs) {
      const pipeline = client.multi() as NodeRedisPipeline
      pipeline.evalSha(sha, { keys: [key], arguments: args })
      pipeline.wait(count, timeoutMs)
      const [write, wait] = await pipeline.execAsPipeline()
      return [write, wait]
    },
    reconnect() {
      if ('nodeClient' in client || isNodeRedisSentinel(client)) return
      const connection = client as NodeRedisClient & NodeRedisConnection
      // The client has no method to reconnect. After QUIT the server closes the connection, and the client opens another one.
      connection.sendCommand?.(['QUIT']).catch(() => undefined)
    },
  }
}
