import { createSession, type Session, type SessionEvent, type SessionOptions } from '../src/index.js'
import { type OAuthOptions, oauthEndpoints } from '../src/oauth.js'
import { createClock } from './clock.js'
import { CLIENT, type ServerOptions, startServer } from './server.js'

/** A clock that stands still, a server that goes by it, and sessions that do. */
export async function createWorld(options: Pick<ServerOptions, 'policy'> = {}) {
  const clock = createClock()
  const server = await startServer({ now: clock.now, ...options })

  const endpoints = (options: Partial<OAuthOptions> = {}) =>
    oauthEndpoints({
      tokenEndpoint: `${server.origin}/oauth/token`,
      revocationEndpoint: `${server.origin}/oauth/revoke`,
      clientId: CLIENT,
      idempotencyKey: true,
      ...options,
    })

  function open(options: Partial<SessionOptions> = {}): Session {
    const session = createSession({ endpoints: endpoints(), environment: clock.environment, ...options })
    // Nothing waits longer than it takes to say so.
    session.on('retrying', ({ waitMs }) => void clock.advance(waitMs))
    return session
  }

  async function signedIn(options: Partial<SessionOptions> = {}): Promise<Session> {
    const session = open(options)
    await session.login(await server.signIn())
    return session
  }

  return { clock, server, endpoints, open, signedIn }
}

export type World = Awaited<ReturnType<typeof createWorld>>

/** Everything that a session tells from now on. */
export function listen(session: Session): { type: SessionEvent; event: object }[] {
  const heard: { type: SessionEvent; event: object }[] = []
  for (const type of ['signedIn', 'refreshed', 'synced', 'retrying', 'signedOut', 'revocationQueued'] as const)
    session.on(type, (event) => heard.push({ type, event }))
  return heard
}
