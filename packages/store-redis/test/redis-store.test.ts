import { tokenStoreCases } from '@baton/store-testkit'
import { type RedisServer, startRedis } from '@baton/test-servers'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { redisStore } from '../src/index.js'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.connect()
})
afterAll(() => server.stop())

let opened = 0
/** Kit cases want an empty store: each gets a prefix of its own. */
const freshPrefix = () => `kit${String((opened += 1))}:`

describe('the kit, on one server', () => {
  const openStore = () => redisStore(redis, { prefix: freshPrefix() })
  for (const { name, run } of tokenStoreCases(openStore, { deletion: 'engine' })) test(name, run)
})
