import axios from 'axios'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { attachSession } from '../src/axios.js'
import { type Session, SessionError } from '../src/index.js'
import { createWorld, type World } from './world.js'

const LIFE = 900_000
const ME = '/api/me'

let world: World
let server: World['server']
let session: Session

beforeEach(async () => {
  world = await createWorld()
  ;({ server } = world)
  session = await world.signedIn()
})
afterEach(() => server.stop())

function attached() {
  const api = axios.create({ baseURL: server.origin })
  return { api, detach: attachSession(api, session) }
}

describe('an axios instance with a session', () => {
  test('sends the access token and refreshes it after it has expired', async () => {
    const { api } = attached()
    expect((await api.get(ME)).data).toMatchObject({ sub: 'alice' })
    world.clock.jump(LIFE)
    const answers = await Promise.all(Array.from({ length: 20 }, () => api.get<{ sub: string }>(ME)))
    expect(answers.map(({ data }) => data.sub)).toEqual(Array(20).fill('alice'))
    expect(server.asked('/oauth/token')).toHaveLength(1)
  })

  test('repeats a request with its body after a 401', async () => {
    const { api } = attached()
    await api.get(ME)
    server.accessTokensEnd()
    const { data } = await api.post<unknown>('/api/notes', { text: 'hello' })
    expect(data).toMatchObject({ type: 'application/json', body: '{"text":"hello"}' })
    expect(server.asked('/api/notes')).toHaveLength(2)
  })

  test('rejects with an AxiosError if the API responds with an error', async () => {
    server.fault(ME, { kind: 'answer', status: 404, body: '{}' })
    await expect(attached().api.get(ME)).rejects.toMatchObject({ name: 'AxiosError', response: { status: 404 } })
  })

  test('rejects with an AxiosError and sends nothing if no user is signed in', async () => {
    const { api } = attached()
    await session.logout()
    const error: unknown = await api.get(ME).catch((reason: unknown) => reason)
    expect(error).toSatisfy(axios.isAxiosError)
    expect(error).toMatchObject({ code: 'signed_out' })
    expect((error as Error).cause).toBeInstanceOf(SessionError)
    expect(server.asked(ME)).toHaveLength(0)
  })

  test('aborting one request does not affect other requests', async () => {
    const { api } = attached()
    world.clock.jump(LIFE)
    const controller = new AbortController()
    const first = api.get(ME, { signal: controller.signal })
    const second = api.get(ME)
    controller.abort()
    await expect(first).rejects.toMatchObject({ code: 'ERR_CANCELED' })
    expect((await second).status).toBe(200)
  })

  test('sends no token after the interceptor was removed', async () => {
    const { api, detach } = attached()
    detach()
    await expect(api.get(ME)).rejects.toMatchObject({ response: { status: 401 } })
  })
})
