import { createSession, SessionError } from '@baton/client'
import { sessionFile } from '@baton/client/file'
import { oauthEndpoints } from '@baton/client/oauth'

/** A process that shares a session with others, does what it is told, and says what came of it. */
const [origin = '', file = '', staleSeconds = ''] = process.argv.slice(2)
const session = createSession({
  endpoints: oauthEndpoints({
    tokenEndpoint: `${origin}/oauth/token`,
    revocationEndpoint: `${origin}/oauth/revoke`,
    clientId: 'web',
    idempotencyKey: true,
  }),
  storage: sessionFile(file, { staleSeconds: Number(staleSeconds) }),
  lockTimeoutSeconds: 60,
})
const heard: string[] = []
for (const type of ['refreshed', 'adopted', 'retrying', 'signedOut'] as const) session.on(type, () => heard.push(type))

process.on('message', () => {
  session.getAccessToken().then(
    (token) => process.send?.({ token, heard }),
    (error: unknown) => process.send?.({ error: error instanceof SessionError ? error.code : String(error), heard }),
  )
})
process.on('disconnect', () => process.exit())
process.send?.('ready')
