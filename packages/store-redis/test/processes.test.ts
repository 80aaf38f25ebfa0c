import { createRefreshTokens } from '@baton/core'
import {
  type BuiltProgram,
  buildWorker,
  raceOnce,
  rotateUntilDeath,
  startWorker,
  type Worker,
} from '@baton/test-processes'
import { type RedisServer, startRedis } from '@baton/test-servers'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { redisStore } from '../src/index.js'
import { singleDrivers } from './drivers.js'
import { SECRET, type Settings } from './worker.js'

const LONG = 120_000

let built: BuiltProgram
let server: RedisServer

beforeAll(async () => {
  built = await buildWorker(import.meta.url, ['ioredis', 'ioredis-5', 'redis'])
  server = await startRedis({})
}, LONG)
afterAll(async () => {
  built.remove()
  await server.stop()
})

const workers = new Set<Worker>()
afterEach(async () => {
  await Promise.all([...workers].map((worker) => worker.kill()))
  workers.clear()
})

/** Another process on the same server. */
async function start(driver: string): Promise<Worker> {
  const worker = startWorker(built.path)
  workers.add(worker)
  await worker.open({ driver, url: server.url } satisfies Settings)
  return worker
}

const drivers = Object.entries(singleDrivers).filter(([name]) => name !== 'ioredis 5')

describe.each(drivers)('processes with %s on one server', (driver, connect) => {
  async function tokensHere() {
    const { client, end } = await connect(server)
    return { tokens: createRefreshTokens({ store: redisStore(client), secrets: [SECRET] }), end }
  }

  test(
    'of three that have all read the same token one rotates, and every caller gets its successor, 25 times',
    async () => {
      const { tokens, end } = await tokensHere()
      const crowd = await Promise.all([start(driver), start(driver), start(driver)])
      let { refreshToken } = await tokens.issue({ subject: 'user-1' })
      const winners = new Set<number>()
      for (let round = 1; round <= 25; round += 1) {
        const raced = await raceOnce(crowd, { refreshToken, callers: 2, first: round })
        const answers = raced.flat()
        const outcomes = answers.map(({ outcome }) => outcome).sort()
        expect(outcomes).toEqual(['retried', 'retried', 'retried', 'retried', 'retried', 'rotated'])
        expect(new Set(answers.map((answer) => answer.refreshToken)).size).toBe(1)
        refreshToken = answers[0]!.refreshToken
        winners.add(raced.findIndex((some) => some.some(({ outcome }) => outcome === 'rotated')))
      }
      expect(winners.size).toBeGreaterThan(1)
      expect(await tokens.inspect(refreshToken)).toMatchObject({ active: true, family: { generation: 25 } })
      end()
    },
    LONG,
  )

  test(
    'continues every session and loses no acknowledged rotation after a kill during rotations, 4 times',
    async () => {
      const { tokens, end } = await tokensHere()
      const issued = await Promise.all(['a', 'b', 'c', 'd'].map((subject) => tokens.issue({ subject })))
      let held = issued.map(({ refreshToken }) => refreshToken)
      for (let round = 0; round < 4; round += 1) {
        ;({ held } = await rotateUntilDeath(await start(driver), held, { killedAfter: 10 + round * 17 }))
        const answers = await Promise.all(held.map((refreshToken) => tokens.rotate({ refreshToken })))
        held = answers.map((answer) => {
          expect(answer).toMatchObject({ ok: true, outcome: expect.stringMatching(/^(rotated|retried)$/) })
          return answer.ok ? answer.refreshToken : ''
        })
      }
      end()
    },
    LONG,
  )
})
