import type { RefreshTokens, RotateOutcome } from '@baton/core'
import { crashCases } from '@baton/store-testkit'
import { type PostgresServer, startFaultProxy, startPostgres, until } from '@baton/test-servers'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type PostgresStore, postgresStore } from '../src/index.js'
import { freshSchema, freshStore, LONG, tokensOn } from './fresh.js'

vi.setConfig({ testTimeout: LONG })

let server: PostgresServer

beforeAll(async () => {
  // synchronous_commit is on, as by default; only the disk's own promises are not awaited, which a killed process does not need.
  server = await startPostgres({ settings: { fsync: 'off' } })
}, LONG)
afterAll(() => server.stop())

interface Session {
  /** What the client holds: the last token that it received. */
  held: string
  acknowledged: number
}

async function sessionsOf(tokens: RefreshTokens, many: number): Promise<Session[]> {
  return Promise.all(
    Array.from({ length: many }, async (_, index) => ({
      held: (await tokens.issue({ subject: `user-${String(index)}` })).refreshToken,
      acknowledged: 0,
    })),
  )
}

/** Every session refreshes again and again, as clients do that get 503 for every fault. Returns the faults. */
function load(tokens: RefreshTokens, sessions: readonly Session[]) {
  const faults: unknown[] = []
  const stop = new AbortController()
  const outcomes = new Map<string, number>()
  const finished = Promise.all(
    sessions.map(async (session) => {
      while (!stop.signal.aborted) {
        const answer: RotateOutcome | null = await tokens
          .rotate({ refreshToken: session.held })
          .catch((error: unknown) => (faults.push(error), null))
        if (answer === null) {
          await new Promise(setImmediate)
          continue
        }
        const outcome = answer.ok ? answer.outcome : answer.reason
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if (!answer.ok) return
        session.held = answer.refreshToken
        session.acknowledged += 1
      }
    }),
  )
  return {
    faults,
    outcomes,
    async end() {
      stop.abort()
      await finished
    },
  }
}

const total = (sessions: readonly Session[]) => sessions.reduce((sum, { acknowledged }) => sum + acknowledged, 0)

/** A retry inside its window is no loss; `healed`, `reuse` and `lost` would be. */
const HARMLESS = ['rotated', 'retried']

function expectStoreErrors(faults: readonly unknown[]): void {
  expect(faults.length).toBeGreaterThan(0)
  for (const fault of faults)
    expect(fault).toMatchObject({ name: 'StoreError', code: expect.stringMatching(/^store_(failed|timeout)$/) })
}

test('loses no acknowledged rotation and no session when the server is killed under load, 5 times', async () => {
  const pool = server.pool()
  expect((await pool.query('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }])
  const tokens = tokensOn(await freshStore(pool), { storeTimeoutSeconds: 5 })
  const sessions = await sessionsOf(tokens, 20)
  for (let round = 0; round < 5; round += 1) {
    const before = total(sessions)
    const running = load(tokens, sessions)
    await until('the load is on', () => total(sessions) > before + 40)
    await server.kill9()
    await until('it is noticed', () => running.faults.length > 0)
    await server.restart()
    const atRestart = sessions.map(({ acknowledged }) => acknowledged)
    await until('every session continues', () =>
      sessions.every(({ acknowledged }, index) => acknowledged > (atRestart[index] ?? 0) + 1),
    )
    await running.end()
    expectStoreErrors(running.faults)
    expect(HARMLESS).toEqual(expect.arrayContaining([...running.outcomes.keys()]))
  }
  for (const { held, acknowledged } of sessions) {
    const inspection = await tokens.inspect(held)
    const generation = inspection.active ? inspection.family.generation : -1
    // The last call of a session may have been committed without being acknowledged.
    expect([acknowledged, acknowledged + 1]).toContain(generation)
  }
})

test('a server that is away under load: nothing but StoreErrors, and recovery without a restart of ours', async () => {
  const proxy = await startFaultProxy({ target: server })
  const pool = server.pool({ connectionString: proxy.through(server.url) })
  const tokens = tokensOn(await freshStore(pool))
  const sessions = await sessionsOf(tokens, 20)
  const running = load(tokens, sessions)
  await until('the load is on', () => total(sessions) > 40)
  await proxy.refuse()
  await until('it is noticed', () => running.faults.length > 200)
  await proxy.pass()
  const atReturn = sessions.map(({ acknowledged }) => acknowledged)
  await until('every session continues', () =>
    sessions.every(({ acknowledged }, index) => acknowledged > (atReturn[index] ?? 0) + 1),
  )
  await running.end()
  expectStoreErrors(running.faults)
  expect(HARMLESS).toEqual(expect.arrayContaining([...running.outcomes.keys()]))
  await pool.end()
  await proxy.stop()
})

test('an answer that is destroyed after the commit: the retry gets the identical successor', async () => {
  const proxy = await startFaultProxy({ target: server })
  const through = server.pool({ connectionString: proxy.through(server.url), max: 1 })
  const schema = 'destroyed_answers'
  await postgresStore(server.pool(), { schema }).migrate()
  const direct = tokensOn(postgresStore(server.pool(), { schema }))
  const tokens = tokensOn(postgresStore(through, { schema }))

  for (let round = 0; round < 20; round += 1) {
    const { refreshToken } = await tokens.issue({ subject: 'user-1' })
    const destroyed = proxy.destroyNextAnswer((request) => request.includes('UPDATE'))
    const failing = expect(tokens.rotate({ refreshToken })).rejects.toMatchObject({ code: 'store_failed' })
    await destroyed
    await failing
    const [one, other] = [await tokens.rotate({ refreshToken }), await direct.rotate({ refreshToken })]
    expect(one).toMatchObject({ ok: true, outcome: 'retried' })
    expect(other).toMatchObject({ ok: true, refreshToken: one.ok && one.refreshToken })
    expect(await tokens.rotate({ refreshToken: one.ok ? one.refreshToken : '' })).toMatchObject({ outcome: 'rotated' })
  }

  const { refreshToken, family } = await tokens.issue({ subject: 'user-1' })
  const destroyed = proxy.destroyNextAnswer((request) => request.includes('UPDATE'))
  const failing = expect(tokens.revoke({ refreshToken })).rejects.toMatchObject({ code: 'store_failed' })
  await destroyed
  await failing
  expect(await direct.find(family.id)).toBeNull()
  await through.end()
  await proxy.stop()
})

test('limits the wait and the connections while the server is suspended, and continues when it resumes', async () => {
  const pool = server.pool({ max: 4, connectionTimeoutMillis: 300 })
  const store = await freshStore(pool)
  const tokens = tokensOn(store, { storeTimeoutSeconds: 0.5 })
  const sessions = await sessionsOf(tokens, 30)
  server.pause()
  try {
    for (let wave = 0; wave < 3; wave += 1) {
      const startedAt = performance.now()
      const answers = await Promise.allSettled(sessions.map(({ held }) => tokens.rotate({ refreshToken: held })))
      expect(performance.now() - startedAt).toBeLessThan(5000)
      expectStoreErrors(answers.map((answer) => answer.status === 'rejected' && answer.reason))
      expect(answers).toHaveLength(30)
      expect(pool.totalCount).toBeLessThanOrEqual(4)
      expect(pool.waitingCount).toBe(0)
    }
  } finally {
    server.resume()
  }
  for (const { held } of sessions)
    expect(await until('the store responds', () => tokens.rotate({ refreshToken: held }))).toMatchObject({
      ok: true,
      outcome: expect.stringMatching(/^(rotated|retried)$/),
    })
  expect(pool.totalCount).toBeLessThanOrEqual(4)
})

test('a single client that loses its connection fails, and says so, until the app gives another', async () => {
  const client = new pg.Client({ connectionString: server.url })
  const lost: unknown[] = []
  client.on('error', (error) => lost.push(error))
  await client.connect()
  const schema = 'lost_client'
  const store: PostgresStore = postgresStore(client, { schema })
  await store.migrate()
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  await server.pool().query('SELECT pg_terminate_backend($1)', [rows[0]!.pid])
  await until('the app hears of it', () => lost.length > 0)
  await expect(tokensOn(store).issue({ subject: 'a' })).rejects.toMatchObject({ code: 'store_failed' })
})

describe('kill -9 of the server', () => {
  const openCrashable = async () => {
    const schema = freshSchema()
    const store = await freshStore(server.pool(), { schema })
    const reopen = async () => {
      await server.restart()
      return postgresStore(server.pool(), { schema })
    }
    return { store, kill: () => server.kill9(), reopen }
  }
  for (const { name, run } of crashCases(openCrashable)) test(name, run)
})
