import type { Script } from './scripts.lua.js'

/** What the store needs of ioredis: a `Redis` or a `Cluster`. */
export interface IoRedisClient {
  get(key: string): Promise<string | null>
  evalsha(sha: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>
  eval(lua: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>
}

/** What the store needs of node-redis: a client or a cluster made by `redis`. */
export interface NodeRedisClient {
  get(key: string): Promise<string | null>
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  eval(lua: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
}

/** The two commands that the store is made of, whatever the driver calls them. */
export interface Commands {
  get(key: string): Promise<string | null>
  /** One EVALSHA; one EVAL more when the server has forgotten its scripts. */
  run(script: Script, key: string, ...args: (string | number)[]): Promise<unknown>
}

export function commandsOf(client: IoRedisClient | NodeRedisClient): Commands {
  const { bySha, byText } = 'evalsha' in client ? ioRedis(client) : nodeRedis(client)
  return {
    get: (key) => client.get(key),
    async run({ sha, lua }, key, ...args) {
      const texts = args.map(String)
      try {
        return await bySha(sha, key, texts)
      } catch (error) {
        if (!isForgotten(error)) throw error
        return byText(lua, key, texts)
      }
    },
  }
}

type Evaluate = (script: string, key: string, args: string[]) => Promise<unknown>

function ioRedis(client: IoRedisClient): { bySha: Evaluate; byText: Evaluate } {
  return {
    bySha: (sha, key, args) => client.evalsha(sha, 1, key, ...args),
    byText: (lua, key, args) => client.eval(lua, 1, key, ...args),
  }
}

function nodeRedis(client: NodeRedisClient): { bySha: Evaluate; byText: Evaluate } {
  return {
    bySha: (sha, key, args) => client.evalSha(sha, { keys: [key], arguments: args }),
    byText: (lua, key, args) => client.eval(lua, { keys: [key], arguments: args }),
  }
}

function isForgotten(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT')
}
