import { ConfigurationError } from '@baton/core'
import { assertClient, batchCalls, type CallResult } from '@baton/core/store'
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

/** Asserts that `client` can run the commands of the store. */
export function assertRedisClient(client: unknown): asserts client is RedisClient {
  assertClient(client, {
    option: 'client',
    expected:
      'a Redis or Cluster of ioredis, or a connected client of redis (createClient, createCluster, createSentinel)',
    methods: [['evalsha', 'evalSha']],
  })
  if (('isPipeline' in client && client.isPipeline === true) || 'execAsPipeline' in client)
    throw new ConfigurationError('client', 'must not be a pipeline; pass the client that created it')
  const mode = 'mode' in client ? client.mode : undefined
  if (mode === 'subscriber' || mode === 'monitor')
    throw new ConfigurationError('client', `must not be in ${mode} mode; pass another connection, such as duplicate()`)
}

/** Runs a script on one key: one EVALSHA, and one EVAL if the server does not have the script. */
export type Run = (script: Script, key: string, ...args: (string | number)[]) => Promise<unknown>

interface ScriptCall extends Script {
  readonly key: string
  readonly args: string[]
}

/** What differs between the drivers. */
interface Driver {
  evalsha(call: ScriptCall): Promise<unknown>
  eval(call: ScriptCall): Promise<unknown>
  /**
   * Sends the script and WAIT on one connection, in one write: a WAIT alone on a new connection has no write to wait for, and succeeds
   * at once. Resolves with both replies.
   */
  evalshaThenWait(call: ScriptCall, count: number, timeoutMs: number): Promise<readonly [unknown, unknown]>
  /** Replaces a connection to a server that became a replica. Clients of clusters and of Sentinel do so themselves. */
  reconnect(): void
}

/** Returns true for what `createSentinel` of node-redis returns. */
export function isNodeRedisSentinel(client: object): boolean {
  return 'getSentinelNode' in client && 'getMasterNode' in client
}

/** Returns two ways to run a script with a client: `runReplicated` rejects unless enough replicas have confirmed the write. */
export function createRunners(
  client: RedisClient,
  quorum?: { readonly count: number; readonly timeoutSeconds: number },
) {
  const driver = 'evalsha' in client ? ioRedis(client) : nodeRedis(client)

  const evaluate = (call: ScriptCall): Promise<unknown> =>
    driver.evalsha(call).catch((error: unknown) => {
      if (hasMessage(error, /^NOSCRIPT/)) return driver.eval(call)
      throw error
    })

  async function evaluateThenWait(call: ScriptCall): Promise<unknown> {
    if (quorum === undefined) return evaluate(call)
    const timeoutMs = Math.round(quorum.timeoutSeconds * 1000)
    const attempt = () => driver.evalshaThenWait(call, quorum.count, timeoutMs)
    const [reply, confirmed] = await attempt().catch(async (error: unknown) => {
      if (!hasMessage(error, /^(NOSCRIPT|MOVED)/)) throw error
      // Sent alone, the script is loaded, and the driver learns which node of the cluster has its slot.
      await evaluate(call)
      return attempt()
    })
    if (typeof confirmed === 'number' && confirmed >= quorum.count) return reply
    throw new Error(
      `the write was made, but only ${String(confirmed)} of ${String(quorum.count)} replicas confirmed it ` +
        `within ${String(timeoutMs)} ms (waitForReplicas)`,
    )
  }

  function explain(error: unknown, key: string): unknown {
    if (hasMessage(error, /^WRONGTYPE/))
      return new RecordFormatError(`the key ${key} holds something that is not of @baton/store-redis`, { cause: error })
    // Redis before 7.0 puts the error of a command within a script into another message.
    if (!hasMessage(error, /(?:^|-)READONLY /)) return error
    driver.reconnect()
    return new Error(
      'the server is a replica and accepts no writes (READONLY): the client reconnects; if this persists, connect it to the primary',
      { cause: error },
    )
  }

  function runWith(send: typeof evaluate): Run {
    return async (script, key, ...args) => {
      const texts = args.map((argument) => (typeof argument === 'number' ? integerToText(argument) : argument))
      return send({ ...script, key, args: texts }).catch((error: unknown) => {
        throw explain(error, key)
      })
    }
  }
  return { run: runWith(evaluate), runReplicated: runWith(evaluateThenWait) }
}

function hasMessage(error: unknown, pattern: RegExp): boolean {
  return error instanceof Error && pattern.test(error.message)
}

/** `client` with members that are not in the public type, because their types differ between versions of ioredis. */
interface IoRedisInternals extends IoRedisClient {
  pipeline(): ReturnType<IoRedisClient['pipeline']> & {
    call(command: string, ...args: string[]): unknown
    exec(): Promise<[error: Error | null, reply?: unknown][] | null>
  }
  readonly status?: unknown
  disconnect?(reconnect: boolean): void
}

function ioRedis(publicClient: IoRedisClient): Driver {
  const client = publicClient as IoRedisInternals
  const isCluster = 'nodes' in client
  const evalsha = async ({ sha, key, args }: ScriptCall) => client.evalsha(sha, 1, key, ...args)

  async function sendPipeline(calls: readonly ScriptCall[]): Promise<CallResult<unknown>[]> {
    const pipeline = client.pipeline()
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
    eval: ({ lua, key, args }) => client.eval(lua, 1, key, ...args),
    async evalshaThenWait({ sha, key, args }, count, timeoutMs) {
      const pipeline = client.pipeline()
      pipeline.evalsha(sha, 1, key, ...args)
      pipeline.call('WAIT', String(count), String(timeoutMs))
      const [write, wait] = (await pipeline.exec()) ?? []
      const error = write?.[0] ?? wait?.[0]
      if (error) throw error
      return [write?.[1], wait?.[1]]
    },
    reconnect() {
      if (!isCluster && client.status === 'ready') client.disconnect?.(true)
    },
  }
}

/** `client` with members that are not in the public type, because their types differ between versions of node-redis. */
interface NodeRedisInternals extends NodeRedisClient {
  multi(): ReturnType<NodeRedisClient['multi']> & {
    wait(replicas: number, timeoutMs: number): unknown
    execAsPipeline(): Promise<unknown[]>
  }
  sendCommand?(command: string[]): Promise<unknown>
}

function nodeRedis(publicClient: NodeRedisClient): Driver {
  const client = publicClient as NodeRedisInternals
  return {
    evalsha: async ({ sha, key, args }) => client.evalSha(sha, { keys: [key], arguments: args }),
    eval: ({ lua, key, args }) => client.eval(lua, { keys: [key], arguments: args }),
    async evalshaThenWait({ sha, key, args }, count, timeoutMs) {
      const pipeline = client.multi()
      pipeline.evalSha(sha, { keys: [key], arguments: args })
      pipeline.wait(count, timeoutMs)
      const [write, wait] = await pipeline.execAsPipeline()
      return [write, wait]
    },
    reconnect() {
      if ('nodeClient' in client || isNodeRedisSentinel(client)) return
      // The client has no method to reconnect. After QUIT the server closes the connection, and the client opens another one.
      client.sendCommand?.(['QUIT']).catch(() => undefined)
    },
  }
}
