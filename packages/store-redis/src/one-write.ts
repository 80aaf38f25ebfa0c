import type { IoRedisClient, IoRedisPipeline } from './client.js'

/** As it is now: apps replace timers in their tests, and what waits here has to be answered all the same. */
const { setImmediate } = globalThis

type SendBySha = (sha: string, key: string, args: string[]) => Promise<unknown>

interface Waiting {
  readonly sha: string
  readonly key: string
  readonly args: string[]
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * Sends all that is asked for in one turn of the event loop in one write: a write wakes the server, and that costs this process more
 * than all else that it does for a command. Where several wait they wait one turn more: while they are dealt with others arrive, and
 * come along. Each call has a reply or an error of its own. Not for clusters, whose keys are on several servers.
 */
export function inOneWrite(client: IoRedisClient): SendBySha {
  let waiting: Waiting[] = []

  async function sendAlone({ sha, key, args, resolve, reject }: Waiting): Promise<void> {
    try {
      resolve(await client.evalsha(sha, 1, key, ...args))
    } catch (error) {
      reject(error)
    }
  }

  async function sendTogether(group: readonly Waiting[]): Promise<void> {
    const pipeline = client.pipeline() as IoRedisPipeline
    for (const { sha, key, args } of group) pipeline.evalsha(sha, 1, key, ...args)
    const replies = (await pipeline.exec()) ?? []
    for (const [index, call] of group.entries()) {
      const [error, reply] = replies[index] ?? [new Error('ioredis left a command of a pipeline without a reply')]
      if (error === null) call.resolve(reply)
      // Where a connection is lost amid the answers, ioredis sends the rest of a pipeline again only if it is asked to.
      else if (error.name === 'AbortError') void sendAlone(call)
      else call.reject(error)
    }
  }

  function sendWaiting(): void {
    const group = waiting
    waiting = []
    const [only] = group
    if (only !== undefined && group.length === 1) void sendAlone(only)
    else
      sendTogether(group).catch((error: unknown) => {
        for (const { reject } of group) reject(error)
      })
  }

  function sendSoon(): void {
    if (waiting.length === 1) sendWaiting()
    else setImmediate(sendWaiting)
  }

  return (sha, key, args) =>
    new Promise((resolve, reject) => {
      const length = waiting.push({ sha, key, args, resolve, reject })
      // By then every request that has arrived meanwhile has had its turn.
      if (length === 1) setImmediate(sendSoon)
    })
}
