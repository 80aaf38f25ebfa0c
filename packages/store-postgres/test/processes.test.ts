import {
  type BuiltProgram,
  buildWorker,
  raceOnce,
  rotateUntilDeath,
  startWorker,
  type Worker,
} from '@baton/test-processes'
import { type PostgresServer, startPostgres } from '@baton/test-servers'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { postgresStore } from '../src/index.js'
import { freshSchema, LONG, NOW, tokensOn } from './fresh.js'
import type { Settings } from './worker.js'

vi.setConfig({ testTimeout: LONG })

let server: PostgresServer
let pool: pg.Pool
let built: BuiltProgram
const workers = new Set<Worker>()

beforeAll(async () => {
  ;[server, built] = await Promise.all([startPostgres(), buildWorker(import.meta.url, ['pg'])])
  pool = server.pool()
}, LONG)
afterAll(async () => {
  built.remove()
  await server.stop()
})
afterEach(async () => {
  await Promise.all([...workers].map((worker) => worker.kill()))
  workers.clear()
})

function start(): Worker {
  const worker = startWorker(built.path)
  workers.add(worker)
  return worker
}

async function open(crowd: readonly Worker[], schema: string): Promise<void> {
  await Promise.all(crowd.map((worker) => worker.open({ url: server.url, schema } satisfies Settings)))
}

test('four processes that migrate the same new schema at once all get a working store, 10 times', async () => {
  const crowd = [start(), start(), start(), start()]
  for (let round = 0; round < 10; round += 1) {
    const schema = freshSchema()
    await open(crowd, schema)
    for (const worker of crowd) worker.tell({ type: 'issue', subject: 'user-1' })
    for (const worker of crowd) expect(await worker.next()).toMatchObject({ type: 'issued' })
    const { items } = await postgresStore(pool, { schema }).list({ subject: 'user-1', limit: 10, now: NOW })
    expect(items).toHaveLength(4)
  }
})

test('of three processes that have all read the same token one rotates, and every caller gets its successor, 50 times', async () => {
  const crowd = [start(), start(), start()]
  const schema = freshSchema()
  await open(crowd, schema)
  const tokens = tokensOn(postgresStore(pool, { schema }))
  let { refreshToken } = await tokens.issue({ subject: 'user-1' })
  const wonBy = new Set<number>()
  for (let round = 0; round < 50; round += 1) {
    const answers = await raceOnce(crowd, { refreshToken, callers: 3, first: round })
    const outcomes = answers.flat().map(({ outcome }) => outcome)
    expect(outcomes.sort()).toEqual([...Array.from({ length: 8 }, () => 'retried'), 'rotated'])
    const successors = new Set(answers.flat().map((answer) => answer.refreshToken))
    expect(successors.size).toBe(1)
    refreshToken = [...successors][0]!
    wonBy.add(answers.findIndex((some) => some.some(({ outcome }) => outcome === 'rotated')))
  }
  expect(wonBy.size).toBeGreaterThan(1)
  expect(await tokens.inspect(refreshToken)).toMatchObject({ active: true, family: { generation: 50 } })
})

test('continues every session after the process is killed during rotations, 10 times', async () => {
  const schema = freshSchema()
  await postgresStore(pool, { schema }).migrate()
  const tokens = tokensOn(postgresStore(pool, { schema }))
  const subjects = ['user-1', 'user-2', 'user-3', 'user-4', 'user-5']
  let held = await Promise.all(subjects.map(async (subject) => (await tokens.issue({ subject })).refreshToken))
  for (let round = 0; round < 10; round += 1) {
    const worker = start()
    await open([worker], schema)
    ;({ held } = await rotateUntilDeath(worker, held, { killedAfter: 5 + round }))
    const answers = await Promise.all(held.map((refreshToken) => tokens.rotate({ refreshToken })))
    // If an acknowledged rotation had been lost, the token would be rejected or recovered.
    for (const answer of answers)
      expect(answer).toMatchObject({ ok: true, outcome: expect.stringMatching(/^(rotated|retried)$/) })
    held = answers.map((answer) => (answer.ok ? answer.refreshToken : ''))
  }
})
