import type { RedisClient, ReplicaQuorum } from './client.js'

const FIX =
  'give a connected client: new Redis(…) or new Cluster(…) of ioredis, or await createClient(…).connect() or createSentinel(…).connect() of redis'

/** Throws `TypeError` for what is no client, or one that cannot run the store's commands. */
export function demandClient(client: unknown): asserts client is RedisClient {
  if (typeof client !== 'object' || client === null) throw misuse(`got ${kindOf(client)}; ${FIX}`)
  const { then, evalsha, evalSha, isPipeline, execAsPipeline, mode } = client as Suspect
  if (typeof then === 'function') throw misuse('got a promise; await it')
  if (isPipeline === true || typeof execAsPipeline === 'function')
    throw misuse('got a pipeline, which answers nothing before exec(); give the client that made it')
  if (typeof evalsha !== 'function' && typeof evalSha !== 'function')
    throw misuse(`got an object without evalsha or evalSha; ${FIX}`)
  if (mode === 'subscriber' || mode === 'monitor')
    throw misuse(
      `got a connection in ${mode} mode, which runs no other commands; give another one, such as duplicate()`,
    )
}

interface Suspect {
  readonly then?: unknown
  readonly evalsha?: unknown
  readonly evalSha?: unknown
  readonly isPipeline?: unknown
  readonly execAsPipeline?: unknown
  readonly mode?: unknown
}

export function demandOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw misuse(`options: expected an object, got ${kindOf(options)}`)
  for (const name of Object.keys(options)) {
    if (name !== 'prefix' && name !== 'waitForReplicas')
      throw misuse(`${name} is not an option here; known are prefix, waitForReplicas`)
  }
}

export function demandPrefix(prefix: unknown): asserts prefix is string {
  if (typeof prefix === 'string' && prefix !== '' && Buffer.byteLength(prefix) <= 64) return
  const got = typeof prefix === 'string' ? `one of ${String(Buffer.byteLength(prefix))}` : kindOf(prefix)
  throw misuse(`prefix: expected a string of 1 to 64 bytes, got ${got}; leave it out for baton:`)
}

/** Checks `waitForReplicas` and converts it. */
export function quorumOf(waiting: unknown): ReplicaQuorum | null {
  if (waiting === undefined) return null
  const { count, timeoutSeconds } = Object(waiting) as { readonly count?: unknown; readonly timeoutSeconds?: unknown }
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1)
    throw misuse(
      `waitForReplicas.count: ${String(count)} is not a whole number from 1; leave waitForReplicas out for none`,
    )
  // WAIT takes 0 for ever, and would hold up everything else on the connection.
  if (typeof timeoutSeconds !== 'number' || !(timeoutSeconds >= 0.001 && timeoutSeconds <= 60))
    throw misuse(`waitForReplicas.timeoutSeconds: ${String(timeoutSeconds)} is not from 0.001 to 60 seconds`)
  return { count, timeoutMs: Math.round(timeoutSeconds * 1000) }
}

function misuse(message: string): TypeError {
  return new TypeError(`redisStore: ${message}`)
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
