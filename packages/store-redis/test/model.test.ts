import { modelCases } from '@baton/store-testkit'
import { type RedisServer, startRedis } from '@baton/test-servers'
import { afterAll, beforeAll, test } from 'vitest'
import { redisStore } from '../src/index.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())

let opened = 0
const open = () => {
  const client = server.connect()
  return { store: redisStore(client, { prefix: `model ${String((opened += 1))}:` }), close: () => client.disconnect() }
}
for (const { name, run } of modelCases(open, { deletion: 'engine' })) test(name, run)
