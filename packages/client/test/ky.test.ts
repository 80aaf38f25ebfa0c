import ky from 'ky'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Session, SessionError } from '../src/index.js'
import { withSession } from '../src/ky.js'
import { createWorld, type World } from './world.js'

const LIFE = 900_000

let world: World
let server: World['server']
let session: Session

beforeEach(async () => {
  world = await createWorld()
  ;({ server } = world)
  session = await world.signedIn()
})
afterEach(() => server.stop())

/** Repeats at once, so that nothing waits. */
const api = () => ky.create({ retry: { delay: () => 0 } }).extend(withSession(session))
const me = () => `${server.origin}/api/me`

describe('a ky instance with a session', () => {
  test('sends the access token and refreshes it after it has expired', async () => {
    const client = api()
    expect(await client.get(me()).json()).toMatchObject({ sub: 'alice' })
    world.clock.jump(LIFE)
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.get(me()).json<{ sub: string }>()))
    expect(answers.map(({ sub }) => sub)).toEqual(Array(20).fill('alice'))
    expect(server.asked('/oauth/token')).toHaveLength(1)
  })

  test('repeats a request with its body after a 401', async () => {
    const client = api()
    await client.get(me())
    server.accessTokensEnd()
    const answer = await client.post(`${server.origin}/api/notes`, { json: { text: 'hello' } }).json()
    expect(answer).toMatchObject({ type: 'application/json', body: '{"text":"hello"}' })
    expect(server.asked('/api/notes')).toHaveLength(2)
  })

  test('retries errors of the API, as without a session', async () => {
    server.fault('/api/me', { kind: 'answer', status: 503 })
    expect((await api().get(me())).status).toBe(200)
    expect(server.asked('/api/me')).toHaveLength(2)
  })

  test('rejects with the SessionError without a retry if no user is signed in', async () => {
    await session.logout()
    let tries = 0
    const { fetch, ...rest } = withSession(session)
    const counted = ky.create({ retry: { delay: () => 0 } }).extend({
      ...rest,
      fetch: (...request) => {
        tries += 1
        return fetch!(...request)
      },
    })
    await expect(counted.get(me())).rejects.toBeInstanceOf(SessionError)
    expect(tries).toBe(1)
  })
})
