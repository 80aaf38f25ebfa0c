import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRefreshTokens } from '@baton/core'
import { type RedisServer, startRedis, until } from '@baton/test-servers'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { redisStore } from '../src/index.js'
import { singleDrivers } from './drivers.js'
import { type Order, type Report, SECRET } from './worker.js'

const LONG = 30_000
const here = fileURLToPath(new URL('.', import.meta.url))
const packages = fileURLToPath(new URL('../../', import.meta.url))

let folder: string
let server: RedisServer

beforeAll(async () => {
  // Beneath this package, where the bundle finds the drivers.
  const parent = join(here, '../node_modules/.baton-test')
  mkdirSync(parent, { recursive: true })
  folder = mkdtempSync(join(parent, 'worker-'))
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: [{ find: /^@baton\/([^/]+)$/, replacement: `${packages}$1/src/index.ts` }] },
    ssr: { external: ['ioredis', 'ioredis-5', 'redis'] },
    build: {
      ssr: join(here, 'worker.ts'),
      outDir: folder,
      rolldownOptions: { output: { entryFileNames: 'worker.mjs' } },
    },
  })
  server = await startRedis({})
}, LONG)
afterAll(async () => {
  rmSync(folder, { recursive: true })
  await server.stop()
})

const children = new Set<ChildProcess>()
afterEach(async () => {
  await Promise.all([...children].map(kill))
  children.clear()
})

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = Promise.all([once(child, 'exit'), once(child, 'disconnect')])
  child.kill('SIGKILL')
  await gone
}

/** Another process on the same server, and all that it has reported. */
async function startWorker(driver: string) {
  const child = fork(join(folder, 'worker.mjs'), { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  children.add(child)
  const reports: Report[] = []
  child.on('message', (report: Report) => reports.push(report))
  const tell = (order: Order) => void child.send(order)
  const told = async <Type extends Report['type']>(type: Type, count = 1) =>
    (await until(`${type} of a worker`, () => {
      const failure = reports.find((report) => report.type === 'failed')
      if (failure !== undefined) throw new Error(failure.message)
      return reports.filter((report): report is Extract<Report, { type: Type }> => report.type === type)[count - 1]
    }))!
  tell({ type: 'connect', driver, url: server.url })
  await told('connected')
  return { tell, told, reports, kill: () => kill(child) }
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
      const workers = [await startWorker(driver), await startWorker(driver), await startWorker(driver)]
      let { refreshToken } = await tokens.issue({ subject: 'user-1' })
      const winners = new Set<number>()
      for (let round = 1; round <= 25; round += 1) {
        for (const { tell } of workers) tell({ type: 'race', refreshToken, callers: 2 })
        for (const { told } of workers) await told('at the barrier', round)
        // Another one each time is told first.
        for (let turn = 0; turn < 3; turn += 1) workers[(round + turn) % 3]!.tell({ type: 'go' })
        const raced = await Promise.all(workers.map(({ told }) => told('raced', round)))
        const answers = raced.flatMap((report) => report.answers)
        const outcomes = answers.map(({ outcome }) => outcome).sort()
        expect(outcomes).toEqual(['retried', 'retried', 'retried', 'retried', 'retried', 'rotated'])
        expect(new Set(answers.map((answer) => answer.refreshToken)).size).toBe(1)
        refreshToken = answers[0]!.refreshToken
        winners.add(raced.findIndex((report) => report.answers.some(({ outcome }) => outcome === 'rotated')))
      }
      expect(winners.size).toBeGreaterThan(1)
      expect(await tokens.inspect(refreshToken)).toMatchObject({ active: true, family: { generation: 25 } })
      end()
    },
    LONG,
  )

  test(
    'kill -9 amid rotations, 4 times: every session goes on and no acknowledged rotation is lost',
    async () => {
      const { tokens, end } = await tokensHere()
      const issued = await Promise.all(['a', 'b', 'c', 'd'].map((subject) => tokens.issue({ subject })))
      let held = issued.map(({ refreshToken }) => refreshToken)
      for (let round = 0; round < 4; round += 1) {
        const worker = await startWorker(driver)
        worker.tell({ type: 'rotate until death', refreshTokens: held })
        await worker.told('acknowledged', 10 + round * 17)
        await worker.kill()
        for (const report of worker.reports) {
          expect(report.type).not.toBe('failed')
          if (report.type === 'acknowledged') held[report.session] = report.refreshToken
        }
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
