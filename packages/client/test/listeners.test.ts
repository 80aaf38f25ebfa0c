import { FAILING_CALLBACKS, watchUnhandled } from '@baton/test-servers'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createWorld, type World } from './world.js'

const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
let world: World
let unhandled: ReturnType<typeof watchUnhandled>

beforeEach(async () => {
  log.mockClear()
  world = await createWorld()
  unhandled = watchUnhandled()
})
afterEach(async () => {
  await unhandled.stop()
  await world.server.stop()
})

test.each(FAILING_CALLBACKS)(
  'a listener that %s affects neither the session nor other listeners',
  async (_case, callback) => {
    const session = world.open()
    const called: string[] = []
    session.on('signedIn', callback)
    session.on('signedIn', () => called.push('signedIn'))
    session.on('signedOut', callback)
    session.on('signedOut', () => called.push('signedOut'))
    await session.login(await world.server.signIn())
    expect((await session.fetch(`${world.server.origin}/api/me`)).status).toBe(200)
    expect(await session.logout()).toEqual({ revoked: true })
    expect(await unhandled.stop()).toEqual([])
    expect(called).toEqual(['signedIn', 'signedOut'])
    expect(log.mock.calls.map(([text]) => text)).toEqual([
      'a listener of "signedIn" failed',
      'a listener of "signedOut" failed',
    ])
  },
)
