import { readFileSync } from 'node:fs'
import { createRefreshTokens } from '@baton/core'
import { linearizabilityCases, tokenStoreCases } from '@baton/store-testkit'
import {
  type RedisAddress,
  type RedisCluster,
  type RedisServer,
  sampled,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
} from '@baton/test-servers'
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RedisClient, redisStore } from '../src/index.js'

const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const LONG = 120_000
const USERNAME = 'baton'
const PASSWORD = 'a-password-of-the-tests'
const account = { username: USERNAME, password: PASSWORD }
const quiet = () => undefined

/** The rules that the documentation names, with those that it adds for a purpose. */
function rulesOf(...purposes: readonly string[]): string[] {
  const [, rules = ''] = /^user baton (.*)$/m.exec(README) ?? []
  const added = purposes.flatMap((purpose) => {
    const row = README.split('\n').find((line) => line.split(/\s\|\s/)[1]?.startsWith(purpose))
    const [, rule] = /^\| `([^`]+)`/.exec(row ?? '') ?? []
    if (rule === undefined) throw new Error(`README.md adds no rule for ${purpose}`)
    return rule.replaceAll('\\', '').split(' ')
  })
  return [...rules.replace('>password', `>${PASSWORD}`).split(' '), ...added]
}

async function createUser({ host, port }: RedisAddress, rules: readonly string[], username = USERNAME): Promise<void> {
  const admin = new Redis({ host, port, enableReadyCheck: false })
  try {
    await admin.call('ACL', 'SETUSER', username, 'reset', ...rules)
  } finally {
    admin.disconnect()
  }
}

type Connect<Server> = (server: Server) => Promise<{ readonly client: RedisClient; readonly end: () => void }>

const single: Readonly<Record<string, Connect<RedisServer>>> = {
  ioredis: async ({ url }) => {
    const client = new Redis(url, account).on('error', quiet)
    return { client, end: () => client.disconnect() }
  },
  'node-redis': async ({ url }) => {
    const client = await createClient({ url, ...account })
      .on('error', quiet)
      .connect()
    return { client, end: () => client.destroy() }
  },
}

const clustered: Readonly<Record<string, Connect<RedisCluster>>> = {
  ioredis: async ({ nodes }) => {
    const seeds = nodes.map(({ host, port }) => ({ host, port }))
    const client = new Cluster(seeds, { redisOptions: account }).on('error', quiet)
    return { client, end: () => client.disconnect() }
  },
  'node-redis': async ({ nodes }) => {
    const rootNodes = nodes.map(({ url }) => ({ url }))
    const client = createCluster({ rootNodes, defaults: account }).on('error', quiet)
    await client.connect()
    return { client, end: () => client.destroy() }
  },
}

let run = 0

function prove(connections: () => readonly { readonly client: RedisClient }[]): void {
  const openStores = () => {
    run += 1
    // Within the keys that the rules allow.
    const prefix = `baton:${String(run)}:`
    return { stores: connections().map(({ client }) => redisStore(client, { prefix })) }
  }
  const openStore = () => {
    const [one, other] = openStores().stores
    return { store: one!, another: () => other! }
  }
  for (const { name, run: prove } of tokenStoreCases(openStore, { deletion: 'engine' })) test(name, prove)
  for (const { name, run: prove } of linearizabilityCases(openStores)) test(name, prove)
}

describe.each(sampled(Object.entries(single), ([name]) => name === 'ioredis'))(
  'the kit as the least-privileged user, by %s',
  (name, connect) => {
    let server: RedisServer
    let connections: Awaited<ReturnType<typeof connect>>[] = []
    beforeAll(async () => {
      server = await startRedis({ appendonly: 'everysec' })
      await createUser(server, rulesOf(...(name === 'ioredis' ? ['ioredis'] : [])))
      connections = [await connect(server), await connect(server)]
    }, LONG)
    afterAll(async () => {
      connections.forEach(({ end }) => end())
      await server.stop()
    })
    prove(() => connections)

    test('no more is allowed than the store needs: a rule less, and a call fails', async () => {
      const rules = rulesOf(...(name === 'ioredis' ? ['ioredis'] : []))
      const needed = rules.filter((rule) => rule.startsWith('+') && !['+ping', '+info'].includes(rule))
      expect(needed.length).toBeGreaterThan(8)
      for (const missing of needed) {
        await createUser(
          server,
          rules.filter((rule) => rule !== missing),
        )
        const { client, end } = await connect(server)
        const tokens = createRefreshTokens({
          store: redisStore(client),
          secrets: ['a secret of at least thirty-two bytes'],
        })
        const useAll = async () => {
          const admin = new Redis(server.url)
          await admin.script('FLUSH')
          admin.disconnect()
          const { refreshToken } = await tokens.issue({ subject: 'alice' })
          await tokens.rotate({ refreshToken })
          await tokens.rotate({ refreshToken })
          await tokens.inspect(refreshToken)
          await tokens.revokeSubject('alice')
        }
        await expect(useAll(), missing).rejects.toMatchObject({ code: 'store_failed' })
        end()
      }
      await createUser(server, rules)
    })

    test('keys of others stay out of reach, and check says what it may not see', async () => {
      const { client, end } = await connect(server)
      await expect(redisStore(client, { prefix: 'other:' }).purge(0, 1)).resolves.toBe(0)
      await expect(redisStore(client, { prefix: 'other:' }).list({ subject: 'a', limit: 1, now: 1 })).rejects.toThrow(
        /NOPERM|No permissions/i,
      )
      const hidden = (await redisStore(client).check()).map(({ setting, value }) => [setting, value])
      expect(hidden).toContainEqual(['CONFIG', 'forbidden'])
      await createUser(server, rulesOf('ioredis', '`store.check()`', '`waitForReplicas`'))
      expect(await redisStore(client).check()).toEqual([])
      end()
    })
  },
)

describe.each(sampled(Object.entries(clustered), ([name]) => name === 'node-redis'))(
  'the kit as the least-privileged user of a cluster, by %s',
  (_name, connect) => {
    let cluster: RedisCluster
    let connections: Awaited<ReturnType<typeof connect>>[] = []
    beforeAll(async () => {
      cluster = await startRedisCluster({ nodes: 3 })
      await Promise.all(cluster.nodes.map((node) => createUser(node, rulesOf('ioredis', 'a cluster'))))
      connections = [await connect(cluster), await connect(cluster)]
    }, LONG)
    afterAll(async () => {
      connections.forEach(({ end }) => end())
      await cluster.stop()
    })
    prove(() => connections)
  },
)

test(
  'the documented users of servers and sentinels are enough for both Sentinel clients',
  async () => {
    const group = await startRedisSentinel()
    try {
      const [, rules = ''] = /^user watcher (.*)$/m.exec(README) ?? []
      const watching = rules.replace('>password', `>${PASSWORD}`).split(' ')
      await Promise.all([
        ...group.servers.map((server) => createUser(server, rulesOf('ioredis'))),
        ...group.sentinels.map((sentinel) => createUser(sentinel, watching, 'watcher')),
      ])
      const io = new Redis({
        name: group.name,
        sentinels: [...group.sentinels],
        natMap: { ...group.addressMap },
        failoverDetector: true,
        sentinelUsername: 'watcher',
        sentinelPassword: PASSWORD,
        ...account,
      }).on('error', quiet)
      const node = await createSentinel({
        name: group.name,
        sentinelRootNodes: [...group.sentinels],
        nodeAddressMap: { ...group.addressMap },
        nodeClientOptions: account,
        sentinelClientOptions: { username: 'watcher', password: PASSWORD },
      })
        .on('error', quiet)
        .connect()
      for (const client of [io, node]) {
        const tokens = createRefreshTokens({
          store: redisStore(client),
          secrets: ['a secret of at least thirty-two bytes'],
        })
        const { refreshToken } = await tokens.issue({ subject: 'alice' })
        expect(await tokens.rotate({ refreshToken })).toMatchObject({ ok: true })
      }
      for (const { port } of group.sentinels) {
        const sentinel = new Redis({ port, enableReadyCheck: false })
        const denied = JSON.stringify(await sentinel.call('ACL', 'LOG'))
        sentinel.disconnect()
        expect(denied.replaceAll(/client\|set(name|info)/g, '')).not.toMatch(/"object","[a-z]/)
      }
      io.disconnect()
      await node.destroy()
    } finally {
      await group.stop()
    }
  },
  LONG,
)
