import { createRefreshTokens } from '@baton/core'
import {
  type BuiltProgram,
  buildWorker,
  raceOnce,
  rotateUntilDeath,
  startWorker,
  type Worker,
} from '@baton/test-processes'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { sqliteStore } from '../src/index.js'
import { close, closeAll, drivers, freshPath } from './drivers.js'
import { SECRET, type Settings } from './worker.js'

const NOW = Date.UTC(2027, 0, 15)
const LONG = 120_000

/**
 * Where a process dies: in the middle of a statement, when the commit of several is due, or between the commit and the answer. Or its
 * parent kills it anywhere.
 */
type Place = 'in the statement' | 'at the commit' | 'before the answer' | 'anywhere'

let built: BuiltProgram
const workers = new Set<Worker>()

beforeAll(async () => {
  built = await buildWorker(import.meta.url, ['better-sqlite3'])
}, LONG)
afterAll(() => built.remove())
afterEach(async () => {
  await Promise.all([...workers].map((worker) => worker.kill()))
  workers.clear()
  closeAll()
})

function start(): Worker {
  const worker = startWorker(built.path)
  workers.add(worker)
  return worker
}

describe.each(drivers.map((driver) => [driver.name, driver] as const))('%s, processes on one file', (_name, driver) => {
  test(
    'of two processes that have both read the same token one rotates, and every caller gets its successor, 50 times',
    async () => {
      const [one, other] = [start(), start()]
      const path = freshPath()
      for (const worker of [one, other]) await worker.open(settings(path))
      one.tell({ type: 'issue', subject: 'user-1' })
      const issued = await one.next()
      let refreshToken = issued?.type === 'issued' ? issued.refreshToken : ''
      const wonBy = new Set<number>()

      for (let round = 0; round < 50; round += 1) {
        const raced = await raceOnce([one, other], { refreshToken, callers: 2, first: round })
        const answers = raced.flat()
        expect(answers.map(({ outcome }) => outcome).sort()).toEqual(['retried', 'retried', 'retried', 'rotated'])
        const successors = new Set(answers.map((answer) => answer.refreshToken))
        expect(successors.size).toBe(1)
        refreshToken = [...successors][0] ?? ''
        wonBy.add(raced.findIndex((some) => some.some(({ outcome }) => outcome === 'rotated')))
      }

      expect(wonBy.size).toBe(2)
      const tokens = createRefreshTokens({ store: sqliteStore(driver.open(path)), secrets: [SECRET], now: () => NOW })
      expect(await tokens.inspect(refreshToken)).toMatchObject({ active: true, family: { generation: 50 } })
    },
    LONG,
  )

  test(
    'continues every session and loses no acknowledged rotation after a kill during rotations, 68 times',
    async () => {
      const places: Place[] = ['in the statement', 'at the commit', 'before the answer', 'anywhere']
      const acknowledged = await Promise.all(places.map((place) => dieAgainAndAgain(place)))
      expect(Math.min(...acknowledged)).toBeGreaterThan(17)
    },
    LONG,
  )

  test(
    'four processes that open the same new file at once all get a working store, 10 times',
    async () => {
      const crowd = [start(), start(), start(), start()]
      for (let round = 0; round < 10; round += 1) {
        const path = freshPath()
        await Promise.all(crowd.map((worker) => worker.open(settings(path))))
        for (const worker of crowd) worker.tell({ type: 'issue', subject: 'user-1' })
        for (const worker of crowd) expect(await worker.next()).toMatchObject({ type: 'issued' })
        const store = sqliteStore(driver.open(path))
        expect((await store.list({ subject: 'user-1', limit: 10, now: NOW })).items).toHaveLength(4)
      }
    },
    LONG,
  )

  function settings(path: string, deadly: Pick<Settings, 'deadlyUpdate' | 'deadlyCommit'> = {}): Settings {
    return { driver: driver.name, path, now: NOW, ...deadly }
  }

  /** Kills 17 processes, one after the other, and returns how many rotations their clients had received. */
  async function dieAgainAndAgain(place: Place): Promise<number> {
    const path = freshPath()
    let held = await issueThree(path)
    let acknowledged = 0
    for (let round = 0; round < 17; round += 1) {
      const after = 1 + (round % 7)
      const worker = start()
      const deadly = {
        'in the statement': { deadlyUpdate: after },
        // The first one is that of the migration.
        'at the commit': { deadlyCommit: 1 + after },
        'before the answer': {},
        anywhere: {},
      }
      await worker.open(settings(path, deadly[place]))
      const death = {
        'in the statement': 'elsewhere',
        'at the commit': 'elsewhere',
        'before the answer': { rotations: after },
        anywhere: { killedAfter: after },
      } as const
      const end = await rotateUntilDeath(worker, held, death[place])
      acknowledged += end.acknowledged
      held = await goOnWith(path, end.held)
    }
    return acknowledged
  }

  async function issueThree(path: string): Promise<string[]> {
    const db = driver.open(path)
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET], now: () => NOW })
    const subjects = ['user-1', 'user-2', 'user-3']
    const issued = await Promise.all(subjects.map((subject) => tokens.issue({ subject })))
    close(db)
    return issued.map(({ refreshToken }) => refreshToken)
  }

  /** Opens the file as the next process would, and refreshes every session with the last token that its client received. */
  async function goOnWith(path: string, held: readonly string[]): Promise<string[]> {
    const db = driver.open(path)
    expect(
      db
        .prepare('PRAGMA integrity_check')
        .all({})
        .map((row) => ({ ...(row as object) })),
    ).toEqual([{ integrity_check: 'ok' }])
    const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET], now: () => NOW })
    const successors: string[] = []
    for (const refreshToken of held) {
      const answer = await tokens.rotate({ refreshToken })
      // If an acknowledged rotation had been lost, the token would be rejected or recovered.
      expect(answer).toMatchObject({ ok: true, outcome: expect.stringMatching(/^(rotated|retried)$/) })
      if (answer.ok) successors.push(answer.refreshToken)
    }
    close(db)
    return successors
  }
})
