import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RefreshEvent } from '@baton/core'
import { type Answer, type Api, api, type Signed } from './api.js'
import { freePort, startExampleServer } from './example-server.js'
import { fingerprint } from './fingerprint.js'
import { type Exchange, type Observer, startObserver } from './observer.js'
import { settings } from './settings.js'
import { temporaryFolder } from './temporary-folder.js'

/** Expiry is waited for, but not for ever. */
const MOST_WAIT_MS = 10_000
const EVENT_MS = 2000
const AT_ONCE = 8

/** Tells the story in the terminal and checks every step of it. Resolves to the exit code. */
export async function tellOnce(): Promise<number> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1))
  const startedAt = performance.now()
  let stage: Stage | undefined
  try {
    stage = await setStage(join(temporaryFolder(), 'demo.db'))
    const steps = await tell(stage)
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    console.log(`\nAll ${steps} steps came out right, in ${seconds} s.`)
    return 0
  } catch (error) {
    console.error(`✗ ${error instanceof Error ? error.message : String(error)}`)
    return 1
  } finally {
    await stage?.close()
  }
}

async function tell(stage: Stage): Promise<number> {
  const { step, told } = stepper()
  const { client } = stage

  const { laptop, phone } = await step('login', async () => {
    const devices = { laptop: await client.login('alice'), phone: await client.login('alice') }
    expect(devices.laptop.family !== devices.phone.family, 'two logins are two families')
    expect(devices.laptop.refreshToken !== devices.phone.refreshToken, 'two logins have two refresh tokens')
    for (const { family } of [devices.laptop, devices.phone])
      equal((await stage.events('issued', family, 1)).length, 1, 'times that the family was reported as issued')
    equal(devices.laptop.expiresIn, stage.accessSeconds, 'lifetime of the access token')
    const refusal = await client.post('/login', { username: 'alice', password: 'guessed' })
    equal(refusal.status, 401, 'status for a wrong password')
    return [
      devices,
      `alice on two devices: laptop ${print(devices.laptop)}, phone ${print(devices.phone)}; wrong password ${refusal.status}`,
    ]
  })

  await step('API', async () => {
    const answer = await client.me(laptop.accessToken)
    expectAlice(answer)
    const stranger = await client.me(null)
    equal(stranger.status, 401, 'status without a token')
    return [null, `GET /api/me ${answer.status} for ${answer.text('sub')}; without a token ${stranger.status}`]
  })

  await step('expiry and 401', async () => {
    // Access tokens count in whole seconds.
    const leastMs = laptop.expiresIn * 1000 - 1000
    const { answer, afterMs } = await until401(() => client.me(laptop.accessToken), laptop.sentAt)
    expect(afterMs >= leastMs, `an access token of ${laptop.expiresIn} s was refused after only ${afterMs} ms`)
    const challenge = answer.header('www-authenticate')
    expect(/^Bearer .*error="invalid_token"/.test(challenge), `challenge is ${challenge || 'missing'}`)
    return [null, `after ${(afterMs / 1000).toFixed(1)} s: ${answer.status}, error="invalid_token"`]
  })

  const first = await step('refresh', async () => {
    const next = await client.refresh(laptop.refreshToken)
    equal(next.family, laptop.family, 'family')
    expect(next.refreshToken !== laptop.refreshToken, 'the refresh token did not change')
    const [event] = await stage.events('rotated', laptop.family, 1)
    equal(event?.generation, 1, 'generation')
    const replayed = await client.me(next.accessToken)
    expectAlice(replayed)
    return [next, `${print(laptop)} → ${print(next)}, generation 1; the request again: ${replayed.status}`]
  })

  const second = await step('lost answer', async () => {
    const idempotencyKey = randomBytes(16).toString('base64url')
    const lost = await client.tryRefresh(first.refreshToken, { idempotencyKey, lose: true }).catch(() => null)
    expect(lost === null, 'the answer that was to be lost arrived')
    const unheard = stage.exchanges().filter((exchange) => exchange.lost)
    equal(unheard.length, 1, 'answers lost')
    equal(unheard[0]?.status, 200, 'status of the lost answer')
    const committed = (await stage.events('rotated', laptop.family, 2)).at(-1)
    equal(committed?.generation, 2, 'generation that the server committed')
    const again = await client.refresh(first.refreshToken, { idempotencyKey })
    equal(fingerprint(again.refreshToken), unheard[0]?.received?.fingerprint, 'successor of the retry')
    const [retry] = await stage.events('retried', laptop.family, 1)
    equal(retry?.by, 'idempotency_key', 'ground of the retry')
    equal(retry?.generation, 2, 'generation of the retry')
    return [
      again,
      `committed ${unheard[0]?.received?.fingerprint ?? ''}, answer destroyed; retry received ${print(again)}, the same`,
    ]
  })

  const third = await step(`${AT_ONCE} refreshes at once`, async () => {
    const all = await Promise.all(Array.from({ length: AT_ONCE }, () => client.refresh(second.refreshToken)))
    const successors = new Set(all.map((signed) => signed.refreshToken))
    equal(successors.size, 1, 'different successors')
    const [one] = all
    if (one === undefined || one.refreshToken === second.refreshToken)
      throw new Error('the refresh token did not change')
    const retries = await stage.events('retried', laptop.family, AT_ONCE)
    equal(
      retries.filter(({ generation }) => generation === 3).length,
      AT_ONCE - 1,
      'others that were given the same token',
    )
    const rotations = await stage.events('rotated', laptop.family, 3)
    equal(rotations.map(({ generation }) => generation).join(), '1,2,3', 'rotations')
    return [one, `1 rotated, ${AT_ONCE - 1} given the same successor ${print(one)}, generation 3`]
  })

  await step('theft', async () => {
    const stolen = third.refreshToken
    const fourth = await client.refresh(third.refreshToken)
    const fifth = await client.refresh(fourth.refreshToken)
    equal((await stage.events('reuse', laptop.family, 0)).length, 0, 'thefts reported before there was one')
    const thief = await client.tryRefresh(stolen)
    refused(thief, 'the thief')
    const [event] = await stage.events('reuse', laptop.family, 1)
    equal(event?.presentedGeneration, 3, 'generation of the stolen token')
    equal(event?.generation, 5, 'generation of the family')
    refused(await client.tryRefresh(fifth.refreshToken), 'the token that the owner holds')
    return [
      null,
      `stolen ${print(third)} of generation 3 came back in generation 5: ${thief.status} ${thief.text('error')}, family ended`,
    ]
  })

  const living = await step('other device', async () => {
    const next = await client.refresh(phone.refreshToken)
    equal(next.family, phone.family, 'family')
    const answer = await client.me(next.accessToken)
    expectAlice(answer)
    const sessions = await client.sessions(next.accessToken)
    equal(sessions.join(), phone.family, 'sessions listed')
    return [next, `the phone refreshes to ${print(next)}, API ${answer.status}; 1 session listed, its own`]
  })

  await step('logout', async () => {
    const browser = await client.cookieLogin('alice')
    const next = await client.cookieRefresh(browser)
    expect(next.cookie !== browser.cookie, 'the cookie did not change')
    const out = await client.cookieLogout(next)
    equal(out.status, 204, 'status')
    expect(/max-age=0|expires=thu, 01 jan 1970/i.test(out.header('set-cookie')), 'the cookie was not cleared')
    const after = await client.tryCookieRefresh(next)
    equal(after.status, 401, 'status of a refresh after logout')
    equal(after.text('error'), 'invalid_grant', 'error of a refresh after logout')
    const [event] = await stage.events('revoked', browser.family, 1)
    equal(event?.reason, 'logout', 'reason')
    equal((await client.sessions(living.accessToken)).join(), phone.family, 'sessions left')
    return [
      null,
      `browser session (cookie): ${out.status}, cookie cleared, refresh afterwards ${after.status} ${after.text('error')}; the phone stays`,
    ]
  })

  await step('logout everywhere', async () => {
    const tablet = await client.login('alice')
    const bob = await client.login('bob')
    const out = await client.post('/auth/logout-everywhere', null, living.accessToken)
    equal(out.status, 204, 'status')
    refused(await client.tryRefresh(living.refreshToken), 'the phone, which asked for it')
    refused(await client.tryRefresh(tablet.refreshToken), 'the tablet')
    const other = await client.refresh(bob.refreshToken)
    return [null, `${out.status}; phone and tablet are refused, bob goes on with ${print(other)}`]
  })

  await step('restart', async () => {
    const before = [await client.login('alice'), await client.login('alice'), await client.login('bob')]
    const browser = await client.cookieLogin('alice')
    // Access tokens of a minute, so that a slow start does not outlast them.
    const firstExit = await stage.restart({ ACCESS_SECONDS: '60' })
    const after: Signed[] = []
    for (const signed of before) {
      const next = await client.refresh(signed.refreshToken)
      equal(next.family, signed.family, 'family')
      after.push(next)
    }
    const cookie = await client.cookieRefresh(browser)
    const secondExit = await stage.restart({ ACCESS_SECONDS: '60' })
    equal(`${String(firstExit)}, ${String(secondExit)}`, '0, 0', 'exit codes')
    for (const { accessToken } of after)
      equal((await client.me(accessToken)).status, 200, 'status for an access token from before')
    const alice = after[0]?.accessToken ?? ''
    const sessions = await client.sessions(alice)
    const expected = [before[0], before[1], browser].map((signed) => signed?.family)
    equal([...sessions].sort().join(), expected.sort().join(), 'sessions listed')
    for (const signed of after) await client.refresh(signed.refreshToken)
    await client.cookieRefresh(cookie)
    return [
      null,
      `twice: all ${before.length + 1} sessions refresh, ${sessions.length} listed for alice, an access token from before: 200`,
    ]
  })

  return told()
}

/** The real example server, what watches it, and a client. */
interface Stage {
  readonly client: Api
  readonly accessSeconds: number
  exchanges(): readonly Exchange[]
  /** All events of one type about a family, oldest first; waits a little until there are at least so many. */
  events<Type extends FamilyEvent['type']>(type: Type, family: string, atLeast: number): Promise<EventOf<Type>[]>
  /** Stops the server and starts it again on the same database. Resolves to the exit code of the first. */
  restart(settings: Record<string, string>): Promise<number | null>
  close(): Promise<void>
}

type FamilyEvent = Exclude<RefreshEvent, { type: 'rejected' | 'fault' }>
type EventOf<Type, Event = FamilyEvent> = Event extends { type: infer Known }
  ? Type extends Known
    ? Event
    : never
  : never

async function setStage(database: string): Promise<Stage> {
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
  console.log(`express-sqlite listens on 127.0.0.1:${upstream}, access tokens live for ${accessSeconds} s\n`)

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
      // Events come on a channel of their own: they may be later than the answer, and one too many later still.
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
    told: () => count,
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

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

function equal(got: unknown, wanted: unknown, what: string): void {
  if (got !== wanted) throw new Error(`${what}: expected ${String(wanted)}, got ${String(got)}`)
}

function expectAlice(answer: Answer): void {
  equal(answer.status, 200, 'status of the API')
  equal(answer.text('sub'), 'alice', 'subject')
}

function refused(answer: Answer, who: string): void {
  equal(`${answer.status} ${answer.text('error') ?? ''}`, '400 invalid_grant', who)
}

async function until401(ask: () => Promise<Answer>, since: number): Promise<{ answer: Answer; afterMs: number }> {
  for (;;) {
    const answer = await ask()
    const afterMs = Math.round(performance.now() - since)
    if (answer.status === 401) return { answer, afterMs }
    equal(answer.status, 200, 'status while the access token lives')
    expect(afterMs < MOST_WAIT_MS, `still accepted after ${afterMs} ms`)
    await sleep(50)
  }
}

function print({ refreshToken }: { refreshToken: string }): string {
  return fingerprint(refreshToken)
}
