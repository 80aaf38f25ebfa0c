import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RefreshEvent } from '@baton/core'
import { type ApiResponse, type Api, api, type Tokens } from './api.js'
import { freePort, startExampleServer } from './example-server.js'
import { fingerprint } from './fingerprint.js'
import { type Exchange, type Observer, startObserver } from './observer.js'
import { settings } from './settings.js'
import { temporaryFolder } from './temporary-folder.js'

/** The maximum time to wait for an expiry. */
const MAX_WAIT_MS = 10_000
const EVENT_MS = 2000
const CONCURRENCY = 8

/** Runs all steps in the terminal and checks each one. Resolves to the exit code. */
export async function runOnce(): Promise<number> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))
  const startedAt = performance.now()
  let setup: Setup | undefined
  try {
    setup = await createSetup(join(temporaryFolder(), 'demo.db'))
    const steps = await runSteps(setup)
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    console.log(`\nAll ${steps} steps passed in ${seconds} s.`)
    return 0
  } catch (error) {
    console.error(`✗ ${error instanceof Error ? error.message : String(error)}`)
    return 1
  } finally {
    await setup?.close()
  }
}

async function runSteps(setup: Setup): Promise<number> {
  const { step, countSteps } = stepper()
  const { client } = setup

  const { laptop, phone } = await step('login', async () => {
    const devices = { laptop: await client.login('alice'), phone: await client.login('alice') }
    assert(devices.laptop.family !== devices.phone.family, 'two logins are two families')
    assert(devices.laptop.refreshToken !== devices.phone.refreshToken, 'two logins have two refresh tokens')
    for (const { family } of [devices.laptop, devices.phone])
      assertEqual((await setup.events('issued', family, 1)).length, 1, 'number of issued events of the family')
    assertEqual(devices.laptop.expiresIn, setup.accessSeconds, 'lifetime of the access token')
    const rejection = await client.post('/login', { username: 'alice', password: 'guessed' })
    assertEqual(rejection.status, 401, 'status for a wrong password')
    return [
      devices,
      `alice on two devices: laptop ${print(devices.laptop)}, phone ${print(devices.phone)}; wrong password ${rejection.status}`,
    ]
  })

  await step('API', async () => {
    const response = await client.me(laptop.accessToken)
    expectAlice(response)
    const anonymous = await client.me(null)
    assertEqual(anonymous.status, 401, 'status without a token')
    return [null, `GET /api/me ${response.status} for ${response.text('sub')}; without a token ${anonymous.status}`]
  })

  await step('expiry and 401', async () => {
    // Access tokens count in whole seconds.
    const leastMs = laptop.expiresIn * 1000 - 1000
    const { response, afterMs } = await waitFor401(() => client.me(laptop.accessToken), laptop.sentAt)
    assert(afterMs >= leastMs, `an access token of ${laptop.expiresIn} s was rejected after only ${afterMs} ms`)
    const challenge = response.header('www-authenticate')
    assert(/^Bearer .*error="invalid_token"/.test(challenge), `challenge is ${challenge || 'missing'}`)
    return [null, `after ${(afterMs / 1000).toFixed(1)} s: ${response.status}, error="invalid_token"`]
  })

  const first = await step('refresh', async () => {
    const next = await client.refresh(laptop.refreshToken)
    assertEqual(next.family, laptop.family, 'family')
    assert(next.refreshToken !== laptop.refreshToken, 'the refresh token did not change')
    const [event] = await setup.events('rotated', laptop.family, 1)
    assertEqual(event?.generation, 1, 'generation')
    const replayed = await client.me(next.accessToken)
    expectAlice(replayed)
    return [next, `${print(laptop)} → ${print(next)}, generation 1; the request again: ${replayed.status}`]
  })

  const second = await step('lost response', async () => {
    const idempotencyKey = randomBytes(16).toString('base64url')
    const lost = await client.tryRefresh(first.refreshToken, { idempotencyKey, lose: true }).catch(() => null)
    assert(lost === null, 'the response arrived although it should be lost')
    const lostExchanges = setup.exchanges().filter((exchange) => exchange.lost)
    assertEqual(lostExchanges.length, 1, 'lost responses')
    assertEqual(lostExchanges[0]?.status, 200, 'status of the lost response')
    const committed = (await setup.events('rotated', laptop.family, 2)).at(-1)
    assertEqual(committed?.generation, 2, 'generation that the server committed')
    const again = await client.refresh(first.refreshToken, { idempotencyKey })
    assertEqual(fingerprint(again.refreshToken), lostExchanges[0]?.received?.fingerprint, 'successor of the retry')
    const [retry] = await setup.events('retried', laptop.family, 1)
    assertEqual(retry?.by, 'idempotency_key', 'reason of the retry')
    assertEqual(retry?.generation, 2, 'generation of the retry')
    return [
      again,
      `committed ${lostExchanges[0]?.received?.fingerprint ?? ''}, response dropped; the retry received ${print(again)}, the same`,
    ]
  })

  const third = await step(`${CONCURRENCY} refreshes at once`, async () => {
    const all = await Promise.all(Array.from({ length: CONCURRENCY }, () => client.refresh(second.refreshToken)))
    const successors = new Set(all.map((parseTokens) => parseTokens.refreshToken))
    assertEqual(successors.size, 1, 'different successors')
    const [one] = all
    if (one === undefined || one.refreshToken === second.refreshToken)
      throw new Error('the refresh token did not change')
    const retries = await setup.events('retried', laptop.family, CONCURRENCY)
    assertEqual(
      retries.filter(({ generation }) => generation === 3).length,
      CONCURRENCY - 1,
      'retries with the same token',
    )
    const rotations = await setup.events('rotated', laptop.family, 3)
    assertEqual(rotations.map(({ generation }) => generation).join(), '1,2,3', 'rotations')
    return [one, `1 rotated, ${CONCURRENCY - 1} received the same successor ${print(one)}, generation 3`]
  })

  await step('reuse', async () => {
    const stolen = third.refreshToken
    const fourth = await client.refresh(third.refreshToken)
    const fifth = await client.refresh(fourth.refreshToken)
    assertEqual((await setup.events('reuse', laptop.family, 0)).length, 0, 'reuse events before the reuse')
    const attacker = await client.tryRefresh(stolen)
    assertRejected(attacker, 'the attacker')
    const [event] = await setup.events('reuse', laptop.family, 1)
    assertEqual(event?.presentedGeneration, 3, 'generation of the stolen token')
    assertEqual(event?.generation, 5, 'generation of the family')
    assertRejected(await client.tryRefresh(fifth.refreshToken), 'the current token of the owner')
    return [
      null,
      `stolen ${print(third)} of generation 3 presented in generation 5: ${attacker.status} ${attacker.text('error')}, family revoked`,
    ]
  })

  const living = await step('other device', async () => {
    const next = await client.refresh(phone.refreshToken)
    assertEqual(next.family, phone.family, 'family')
    const response = await client.me(next.accessToken)
    expectAlice(response)
    const sessions = await client.sessions(next.accessToken)
    assertEqual(sessions.join(), phone.family, 'sessions listed')
    return [next, `the phone refreshes to ${print(next)}, API ${response.status}; 1 session listed, its own`]
  })

  await step('logout', async () => {
    const browser = await client.cookieLogin('alice')
    const next = await client.cookieRefresh(browser)
    assert(next.cookie !== browser.cookie, 'the cookie did not change')
    const out = await client.cookieLogout(next)
    assertEqual(out.status, 204, 'status')
    assert(/max-age=0|expires=thu, 01 jan 1970/i.test(out.header('set-cookie')), 'the cookie was not cleared')
    const after = await client.tryCookieRefresh(next)
    assertEqual(after.status, 401, 'status of a refresh after logout')
    assertEqual(after.text('error'), 'invalid_grant', 'error of a refresh after logout')
    const [event] = await setup.events('revoked', browser.family, 1)
    assertEqual(event?.reason, 'logout', 'reason')
    assertEqual((await client.sessions(living.accessToken)).join(), phone.family, 'sessions left')
    return [
      null,
      `browser session (cookie): ${out.status}, cookie cleared, refresh afterwards ${after.status} ${after.text('error')}; the phone is still signed in`,
    ]
  })

  await step('logout everywhere', async () => {
    const tablet = await client.login('alice')
    const bob = await client.login('bob')
    const out = await client.post('/auth/logout-everywhere', null, living.accessToken)
    assertEqual(out.status, 204, 'status')
    assertRejected(await client.tryRefresh(living.refreshToken), 'the phone that sent the request')
    assertRejected(await client.tryRefresh(tablet.refreshToken), 'the tablet')
    const other = await client.refresh(bob.refreshToken)
    return [null, `${out.status}; phone and tablet are rejected, bob refreshes to ${print(other)}`]
  })

  await step('restart', async () => {
    const before = [await client.login('alice'), await client.login('alice'), await client.login('bob')]
    const browser = await client.cookieLogin('alice')
    // Access tokens with a lifetime of one minute, so that they survive a slow start.
    const firstExit = await setup.restart({ ACCESS_SECONDS: '60' })
    const after: Tokens[] = []
    for (const parseTokens of before) {
      const next = await client.refresh(parseTokens.refreshToken)
      assertEqual(next.family, parseTokens.family, 'family')
      after.push(next)
    }
    const cookie = await client.cookieRefresh(browser)
    const secondExit = await setup.restart({ ACCESS_SECONDS: '60' })
    assertEqual(`${String(firstExit)}, ${String(secondExit)}`, '0, 0', 'exit codes')
    for (const { accessToken } of after)
      assertEqual((await client.me(accessToken)).status, 200, 'status for an access token issued before')
    const alice = after[0]?.accessToken ?? ''
    const sessions = await client.sessions(alice)
    const expected = [before[0], before[1], browser].map((parseTokens) => parseTokens?.family)
    assertEqual([...sessions].sort().join(), expected.sort().join(), 'sessions listed')
    for (const parseTokens of after) await client.refresh(parseTokens.refreshToken)
    await client.cookieRefresh(cookie)
    return [
      null,
      `twice: all ${before.length + 1} sessions refresh, ${sessions.length} listed for alice, an earlier access token: 200`,
    ]
  })

  return countSteps()
}

/** The example server, the observer and a client. */
interface Setup {
  readonly client: Api
  readonly accessSeconds: number
  exchanges(): readonly Exchange[]
  /**
   * Returns all events of one type for a family, oldest first. Waits a short time until there are at least `atLeast`.
   */
  events<Type extends FamilyEvent['type']>(type: Type, family: string, atLeast: number): Promise<EventOf<Type>[]>
  /** Restarts the server on the same database. Resolves to the exit code of the first process. */
  restart(settings: Record<string, string>): Promise<number | null>
  close(): Promise<void>
}

type FamilyEvent = Exclude<RefreshEvent, { type: 'rejected' | 'fault' }>
type EventOf<Type, Event = FamilyEvent> = Event extends { type: infer Known }
  ? Type extends Known
    ? Event
    : never
  : never

async function createSetup(database: string): Promise<Setup> {
  const upstream = await freePort()
  const chosen: Record<string, string> = {
    DATABASE: database,
    BATON_SECRET: randomBytes(32).toString('base64url'),
    ...settings({
      ACCESS_SECONDS: '2',
      IDLE_SECONDS: '600',
      ABSOLUTE_SECONDS: '3600',
      GRACE_SECONDS: '30',
      RATE_LIMIT: '0',
    }),
  }
  const accessSeconds = Number(chosen['ACCESS_SECONDS'])
  let observer: Observer | undefined
  const start = () =>
    startExampleServer({ port: upstream, settings: chosen, onEvent: (event) => observer?.report(event) })
  let server = await start()
  const watching = (observer = await startObserver({ port: 0, upstream }))
  console.log(`express-sqlite listens on 127.0.0.1:${upstream}, access tokens expire after ${accessSeconds} s\n`)

  function found<Type extends FamilyEvent['type']>(type: Type, family: string): EventOf<Type>[] {
    return watching.observations.flatMap((observation) => {
      if (observation.kind !== 'event' || observation.event.type !== type) return []
      const event = observation.event as EventOf<Type>
      return event.familyId === family ? [event] : []
    })
  }

  return {
    client: api(`http://127.0.0.1:${watching.port}`),
    accessSeconds,
    exchanges: () =>
      watching.observations.flatMap((observation) => (observation.kind === 'exchange' ? [observation.exchange] : [])),
    async events(type, family, atLeast) {
      // Events use a separate channel. They may arrive later than the response, and an unexpected one later still.
      for (let waited = 0; waited < EVENT_MS && found(type, family).length < atLeast; waited += 20) await sleep(20)
      await sleep(30)
      return found(type, family)
    },
    async restart(changed) {
      const code = await server.stop()
      Object.assign(chosen, changed)
      server = await start()
      return code
    },
    async close() {
      await watching.close()
      await server.stop()
    },
  }
}

function stepper() {
  let count = 0
  return {
    countSteps: () => count,
    step: async <Result>(name: string, run: () => Promise<[Result, string]>): Promise<Result> => {
      try {
        const [result, observed] = await run()
        count += 1
        console.log(`✓ ${name.padEnd(20)} ${observed}`)
        return result
      } catch (error) {
        throw new Error(`${name.padEnd(20)} ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        })
      }
    },
  }
}

function assert(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

function assertEqual(got: unknown, wanted: unknown, what: string): void {
  if (got !== wanted) throw new Error(`${what}: expected ${String(wanted)}, got ${String(got)}`)
}

function expectAlice(response: ApiResponse): void {
  assertEqual(response.status, 200, 'status of the API')
  assertEqual(response.text('sub'), 'alice', 'subject')
}

function assertRejected(response: ApiResponse, who: string): void {
  assertEqual(`${response.status} ${response.text('error') ?? ''}`, '400 invalid_grant', who)
}

async function waitFor401(
  send: () => Promise<ApiResponse>,
  since: number,
): Promise<{ response: ApiResponse; afterMs: number }> {
  for (;;) {
    const response = await send()
    const afterMs = Math.round(performance.now() - since)
    if (response.status === 401) return { response, afterMs }
    assertEqual(response.status, 200, 'status before the expiry of the access token')
    assert(afterMs < MAX_WAIT_MS, `still accepted after ${afterMs} ms`)
    await sleep(50)
  }
}

function print({ refreshToken }: { refreshToken: string }): string {
  return fingerprint(refreshToken)
}
